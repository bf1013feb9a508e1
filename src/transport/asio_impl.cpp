// SPDX-License-Identifier: MIT
//
// The bodies of Asio and Beast, compiled here and nowhere else: every other file sees declarations,
// and takes a fraction of the time. BOOST_ASIO_SEPARATE_COMPILATION and
// BOOST_BEAST_SEPARATE_COMPILATION come from the build, so that all files agree.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
