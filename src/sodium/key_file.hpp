// SPDX-License-Identifier: MIT
//
// A node's private key on disk: PKCS#8 in PEM, in the one form that
// `openssl genpkey -algorithm ed25519` writes (RFC 8410 §7), so that people can make, look at and
// move a key with the tools they have. Anything else is refused, never guessed at.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/crypto/crypto.hpp"
#include "peer_relay/result.hpp"

namespace peer_relay {

/// The key in a PEM text of three lines, ended by LF or CRLF, the last one perhaps not at all.
/// Error: key_invalid.
Result<SigningSeed> read_key_pem(std::string_view text);

std::string write_key_pem(const SigningSeed& seed);

/// The key in a file, which is made with a new key and mode 0600 where there is none. The new file
/// appears whole or not at all, and whoever comes second gets the key of the first. A file that is
/// there already is never touched, and who may read it is its owner's affair.
/// Errors: file_unreadable, key_invalid, file_unwritable.
Result<SigningSeed> load_or_create_key_file(const std::filesystem::path& path, Crypto& crypto);

}  // namespace peer_relay
