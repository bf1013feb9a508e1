// SPDX-License-Identifier: MIT
#include <mutex>
#include <system_error>
#include <thread>

#include <boost/asio/post.hpp>
#include <netdb.h>

#include "transport/websocket/resolver_impl.hpp"

namespace peer_relay::websocket {

namespace {

/// Blocks as long as the system likes to.
Resolution ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  Resolution out;
  if (const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); status != 0) {
    out.complaint = ::gai_strerror(status);
    return out;
  }
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    tcp::endpoint endpoint;
    if (each->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), each->ai_addr, each->ai_addrlen);
    out.addresses.push_back(endpoint.address());
  }
  ::freeaddrinfo(found);
  if (out.addresses.empty()) out.complaint = "the name has no address";
  return out;
}

/// What the asking coroutine and the thread that asks for it share; touched by the node's thread
/// only.
struct Answer {
  Timer* waiting = nullptr;
  bool given = false;
  Resolution resolution;
};

}  // namespace

/// Outlives the resolver, if threads do.
struct Resolver::Calls {
  std::mutex mutex;
  asio::io_context* io;  // none, once the resolver is gone
  std::size_t count = 0;
};

Resolver::Resolver(asio::io_context& io) : io_(io), calls_(std::make_shared<Calls>()) {
  calls_->io = &io;
}

Resolver::~Resolver() {
  const std::lock_guard lock{calls_->mutex};
  calls_->io = nullptr;
}

Awaitable<Resolution> Resolver::resolve(std::string host, Attempt& attempt) {
  error_code is_name;
  const asio::ip::address literal = asio::ip::make_address(host, is_name);
  if (!is_name) co_return Resolution{{literal}, {}};

  {
    const std::lock_guard lock{calls_->mutex};
    if (calls_->count >= calls_max) co_return Resolution{{}, "too many names are being looked up"};
    ++calls_->count;
  }
  const auto answer = std::make_shared<Answer>();
  const auto ask = [calls = calls_, answer, host] {
    Resolution resolution = ask_system(host);
    const std::lock_guard lock{calls->mutex};
    --calls->count;
    if (calls->io == nullptr) return;
    asio::post(*calls->io, [answer, resolution = std::move(resolution)]() mutable {
      answer->given = true;
      answer->resolution = std::move(resolution);
      if (answer->waiting != nullptr) answer->waiting->cancel();
    });
  };
  try {
    std::thread{ask}.detach();
  } catch (const std::system_error& error) {
    const std::lock_guard lock{calls_->mutex};
    --calls_->count;
    co_return Resolution{{}, error.what()};
  }

  Timer bell{io_.get_executor(), Timer::time_point::max()};
  answer->waiting = &bell;
  attempt.watch(bell);
  while (!answer->given && !attempt.is_late() && !attempt.is_called_off()) {
    co_await bell.async_wait(as_values);
  }
  answer->waiting = nullptr;
  attempt.watch_nothing();
  if (!answer->given) co_return Resolution{{}, "no answer from the name server"};
  co_return std::move(answer->resolution);
}

}  // namespace peer_relay::websocket
