// SPDX-License-Identifier: MIT
#include "transport/name_lookup.hpp"

#include <array>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <netdb.h>

namespace peer_relay {

namespace asio = boost::asio;

namespace {

/// Blocks as long as the system likes to.
NameAddresses ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  NameAddresses out;
  if (const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); status != 0) {
    out.complaint = ::gai_strerror(status);
    return out;
  }
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    const int status = ::getnameinfo(each->ai_addr, each->ai_addrlen, text.data(), text.size(),
                                     nullptr, 0, NI_NUMERICHOST);
    if (status == 0) out.found.emplace_back(text.data());
  }
  ::freeaddrinfo(found);
  if (out.found.empty()) out.complaint = "the name has no address";
  return out;
}

}  // namespace

/// Outlives the lookup, if threads do.
struct NameLookup::Calls {
  std::mutex mutex;
  asio::io_context* io;  // none, once the lookup is gone
  std::size_t count = 0;
};

NameLookup::NameLookup(asio::io_context& io) : calls_(std::make_shared<Calls>()) {
  calls_->io = &io;
}

NameLookup::~NameLookup() {
  const std::lock_guard lock{calls_->mutex};
  calls_->io = nullptr;
}

std::optional<std::string> NameLookup::ask(std::string host, Then then) {
  {
    const std::lock_guard lock{calls_->mutex};
    if (calls_->count >= calls_max) return "too many names are being looked up";
    ++calls_->count;
  }
  // What `then` holds belongs to the io_context's thread, so it is handed back whole.
  auto call = [calls = calls_, host = std::move(host), then = std::move(then)]() mutable {
    NameAddresses addresses = ask_system(host);
    const std::lock_guard lock{calls->mutex};
    --calls->count;
    if (calls->io == nullptr) return;
    asio::post(*calls->io, [then = std::move(then), addresses = std::move(addresses)]() mutable {
      then(std::move(addresses));
    });
  };
  try {
    std::thread{std::move(call)}.detach();
  } catch (const std::system_error& error) {
    const std::lock_guard lock{calls_->mutex};
    --calls_->count;
    return error.what();
  }
  return std::nullopt;
}

}  // namespace peer_relay
