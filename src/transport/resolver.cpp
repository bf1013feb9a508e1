// SPDX-License-Identifier: MIT
#include <utility>

#include "transport/resolver_impl.hpp"

namespace peer_relay::sockets {

namespace {

/// What the asking coroutine and the handler of the answer share.
struct Answer {
  Timer* waiting = nullptr;
  bool given = false;
  NameAddresses addresses;
};

Resolution resolution_of(NameAddresses addresses) {
  Resolution out{.addresses = {}, .complaint = std::move(addresses.complaint)};
  for (const std::string& each : addresses.found) {
    error_code error;
    const asio::ip::address address = asio::ip::make_address(each, error);
    if (!error) out.addresses.push_back(address);
  }
  return out;
}

}  // namespace

Awaitable<Resolution> Resolver::resolve(std::string host, Attempt& attempt) {
  error_code is_name;
  const asio::ip::address literal = asio::ip::make_address(host, is_name);
  if (!is_name) co_return Resolution{{literal}, {}};

  const auto answer = std::make_shared<Answer>();
  auto complaint = names_.ask(std::move(host), [answer](NameAddresses addresses) {
    answer->given = true;
    answer->addresses = std::move(addresses);
    if (answer->waiting != nullptr) answer->waiting->cancel();
  });
  if (complaint) co_return Resolution{{}, std::move(*complaint)};

  Timer bell{io_.get_executor(), Timer::time_point::max()};
  answer->waiting = &bell;
  attempt.watch(bell);
  while (!answer->given && !attempt.is_late() && !attempt.is_called_off()) {
    co_await bell.async_wait(as_values);
  }
  answer->waiting = nullptr;
  attempt.watch_nothing();
  if (!answer->given) co_return Resolution{{}, "no answer from the name server"};
  co_return resolution_of(std::move(answer->addresses));
}

}  // namespace peer_relay::sockets
