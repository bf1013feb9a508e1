// SPDX-License-Identifier: MIT
//
// For tests of transports, which all have the same to tell and are asked the same.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "peer_relay/node.hpp"
#include "transport/transport.hpp"

namespace peer_relay::testing {

/// One end: a transport, and all that it told.
class TransportEnd final : public LinkSink {
 public:
  struct Seen {
    std::unique_ptr<Link> link;
    std::optional<DialId> dial;
    std::string remote_host;
    std::vector<Bytes> messages;
    std::vector<Bytes> texts;
    std::string stream;
    std::optional<ExchangeTransport> by;
    int writable = 0;
    int closed = 0;
    CloseReason reason{};
  };

  template <class T>
  void own(std::unique_ptr<T> made) {
    listen_on = [raw = made.get()](const std::string& host, std::uint16_t port) {
      return raw->listen(host, port);
    };
    half_open = [raw = made.get()] { return raw->half_open(); };
    transport = std::move(made);
  }

  std::uint16_t listen(const std::string& host = "127.0.0.1") {
    const auto port = listen_on(host, 0);
    if (!port) throw std::runtime_error(port.error().detail);
    return *port;
  }

  void dial(const std::string& url) {
    transport->dial(Address::parse(url).value(), DialId{++dials});
  }

  void dial_stream(const std::string& url) {
    transport->dial_stream(Address::parse(url).value(), DialId{++dials});
  }

  void link_opened(LinkId id, std::unique_ptr<Link> link, LinkArrival arrival) override {
    Seen& seen = links[id];
    seen.link = std::move(link);
    seen.dial = arrival.dial;
    seen.remote_host = std::move(arrival.remote_host);
    if (arrival.dial && !hello.empty()) seen.link->send(hello);
  }
  void dial_failed(DialId dial, DialError error, const std::string& detail) override {
    failures.push_back({dial, error});
    last_detail = detail;
  }
  void link_received(LinkId id, MutableBytes message) override {
    Seen& seen = links.at(id);
    EXPECT_EQ(seen.closed, 0);
    if (!hello.empty() && std::ranges::equal(message, hello)) return;
    seen.messages.emplace_back(message.begin(), message.end());
    std::ranges::fill(message, std::uint8_t{0xee});  // the sink may write in it
    if (on_message) on_message(id);
  }
  void link_received_text(LinkId id, MutableBytes text) override {
    links.at(id).texts.emplace_back(text.begin(), text.end());
  }
  void link_received_stream(LinkId id, BytesView bytes, ExchangeTransport by) override {
    Seen& seen = links.at(id);
    EXPECT_EQ(seen.closed, 0);
    seen.stream += as_text(bytes);
    seen.by = by;
  }
  void text_too_long() override { ++overlong; }
  void link_writable(LinkId id) override { ++links.at(id).writable; }
  void link_closed(LinkId id, CloseReason reason) override {
    Seen& seen = links.at(id);
    ++seen.closed;
    seen.reason = reason;
    seen.link = nullptr;
  }
  void connection_refused() override { ++refused; }
  void connection_failed(CloseReason reason) override { ++failed[reason]; }
  LinkId next_link_id() override { return LinkId{++last_link}; }
  void recycle(Bytes buffer) override { recycled += buffer == hello && !hello.empty() ? 0 : 1; }

  Seen& only() {
    EXPECT_EQ(links.size(), 1u);
    return links.begin()->second;
  }
  std::size_t closed() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(links, [](const auto& each) { return each.second.closed == 1; }));
  }

  Bytes hello;  ///< said first on a link that we dialed, and then not counted
  std::map<LinkId, Seen> links;
  std::vector<std::pair<DialId, DialError>> failures;
  std::string last_detail;
  std::map<CloseReason, int> failed;
  int refused = 0;
  int overlong = 0;
  int recycled = 0;
  std::uint64_t last_link = 0;
  std::uint64_t dials = 0;
  std::function<void(LinkId)> on_message;
  std::unique_ptr<Transport> transport;
  std::function<Result<std::uint16_t, StartError>(const std::string&, std::uint16_t)> listen_on;
  std::function<std::size_t()> half_open;
};

inline Bytes pattern(std::size_t size, unsigned seed = 1) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::uint8_t>(i * 31 + seed + i / 251);
  return out;
}

using namespace std::chrono_literals;

class TransportTest : public ::testing::Test {
 protected:
  using End = TransportEnd;

  ~TransportTest() override {
    // What is under way goes with its transports, whatever state it is in.
    ends.clear();
    io.poll();
  }

  End& add_end() {
    ends.push_back(std::make_unique<End>());
    return *ends.back();
  }

  /// Runs until something is so; false if it isn't for a long time.
  [[nodiscard]] bool until(const std::function<bool()>& is_so,
                           std::chrono::milliseconds at_most = 20s) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      io.restart();
      io.run_one_for(20ms);
    }
    return true;
  }

  static std::string url(std::uint16_t port, const std::string& scheme) {
    return scheme + "://127.0.0.1:" + std::to_string(port);
  }

  boost::asio::io_context io;
  std::vector<std::unique_ptr<End>> ends;
};

}  // namespace peer_relay::testing
