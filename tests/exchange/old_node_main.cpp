// SPDX-License-Identifier: MIT
//
// A node of ours in a network of npm peer-exchange, for the tests: told what to do by lines of JSON
// on standard input, telling what happens by lines of JSON on standard output. Ends with the input.
// All of it by the public API.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <string>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include "peer_relay/exchange.hpp"

namespace {

using namespace peer_relay;
using Json = nlohmann::json;

class Digest {
 public:
  Digest() { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Digest() { EVP_MD_CTX_free(context_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void take(BytesView bytes) {
    EVP_DigestUpdate(context_, bytes.data(), bytes.size());
    bytes_ += bytes.size();
  }
  Json so_far() const {
    EVP_MD_CTX* const copy = EVP_MD_CTX_new();
    EVP_MD_CTX_copy_ex(copy, context_);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(copy, digest, &size);
    EVP_MD_CTX_free(copy);
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
      char two[3];
      std::snprintf(two, sizeof two, "%02x", digest[i]);
      hex += two;
    }
    return {{"bytes", bytes_}, {"sha256", hex}};
  }

 private:
  EVP_MD_CTX* context_ = EVP_MD_CTX_new();
  std::uint64_t bytes_ = 0;
};

const char* name_of(ExchangeError::Kind kind) {
  constexpr const char* names[] = {"not_connected", "already_accepting", "unknown_transport",
                                   "wrong_network", "connect_failed",    "no_new_peer",
                                   "listen_failed", "timed_out",         "closed"};
  return names[static_cast<std::size_t>(kind)];
}

class OldNode {
 public:
  explicit OldNode(const Json& options) {
    ExchangeOptions with;
    with.legacy = true;
    with.node.webrtc.enabled = options.value("webrtc", false);
    if (with.node.webrtc.enabled) with.node.webrtc.interfaces = {"127.0.0.1"};
    exchange_.emplace(
        options.value("network", "net-1"), std::move(with),
        ExchangeEvents{
            .peer = [this](const auto& peer) { came(peer, {}); },
            .disconnect = [this](const auto& peer) { left(peer); },
            .error =
                [](const auto& error) { tell({{"event", "error"}, {"message", error.message}}); },
        });
    tell({{"event", "ready"}});
  }
  ~OldNode() { exchange_.reset(); }  // before what its handlers use
  OldNode(const OldNode&) = delete;
  OldNode& operator=(const OldNode&) = delete;

  void obey(const Json& order) {
    exchange_->node()->post([this, order] { answer(order); });
  }

 private:
  struct Member {
    ExchangePeer peer;
    Digest received;
    Digest sent;
    std::uint64_t left = 0;  // to pour
    std::mt19937_64 random{1};
    StreamError end{};
  };

  static void tell(const Json& event) {
    const std::string line = event.dump() + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }

  // The callback of who asked comes before the event.
  void came(const ExchangePeer& peer, std::optional<std::uint64_t> request) {
    if (find(peer) != 0) return;
    const std::uint64_t number = ++last_member_;
    Member& member = members_[number];
    member.peer = peer;
    Json event{{"event", "peer"},
               {"peer", number},
               {"transport", peer.transport()},
               {"remote_host", peer.remote_address()},
               {"legacy", peer.is_legacy()},
               {"incoming", peer.is_incoming()}};
    if (request) event["request"] = *request;
    member.peer.stream().on({.data = [&member](BytesView bytes) { member.received.take(bytes); },
                             .finished = [number] { tell({{"event", "ended"}, {"peer", number}}); },
                             .closed = [&member](const StreamError& end) { member.end = end; }});
    tell(event);
  }

  void left(const ExchangePeer& peer) {
    const std::uint64_t number = find(peer);
    tell({{"event", "down"},
          {"peer", number},
          {"reason", peer_relay::name_of(members_[number].end.end)}});
  }

  std::uint64_t find(const ExchangePeer& peer) const {
    const auto at =
        std::ranges::find_if(members_, [&](const auto& each) { return each.second.peer == peer; });
    return at == members_.end() ? 0 : at->first;
  }

  void pour(Member& member) {
    if (member.left == 0) return;
    Bytes bytes(std::min<std::uint64_t>(member.left, 1 + member.random() % 100'000));
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(member.random());
    member.sent.take(bytes);
    member.left -= bytes.size();
    member.peer.stream().write(std::move(bytes), [this, &member](const StreamWritten& written) {
      if (written) pour(member);
    });
  }

  ExchangePeerCallback told_of(std::uint64_t request) {
    return [this, request](const auto& peer) {
      if (peer) return came(*peer, request);
      tell({{"event", "failed"},
            {"request", request},
            {"why", name_of(peer.error().kind)},
            {"message", peer.error().message}});
    };
  }

  void answer(const Json& order) {
    const std::string what = order.at("do");
    Json out{{"tag", order.value("tag", 0)}};
    Member& member = members_[order.value("peer", std::uint64_t{0})];
    if (what == "connect") {
      const auto address = Address::parse(order.at("url").get<std::string>()).value();
      out["request"] = ++last_request_;
      exchange_->connect(address.scheme == Scheme::tcp ? "tcp" : "websocket", address.host,
                         {.port = address.port, .native = order.value("native", false)},
                         told_of(last_request_));
    } else if (what == "get_new_peer") {
      out["request"] = ++last_request_;
      if (order.contains("peer")) {
        member.peer.get_new_peer(told_of(last_request_));
      } else {
        exchange_->get_new_peer(told_of(last_request_));
      }
    } else if (what == "accept") {
      return exchange_->accept(order.at("transport"), {.host = "127.0.0.1"},
                               [out](const auto& port) mutable {
                                 if (port) out["port"] = *port;
                                 if (!port) out["error"] = port.error().message;
                                 tell(out);
                               });
    } else if (what == "unaccept") {
      exchange_->unaccept(order.at("transport"));
    } else if (what == "write") {
      const std::string text = order.at("text");
      const Bytes bytes{text.begin(), text.end()};
      member.sent.take(bytes);
      member.peer.stream().write(bytes);
    } else if (what == "pour") {
      member.left = order.at("bytes");
      pour(member);
    } else if (what == "stop_reading") {
      member.peer.stream().pause();
    } else if (what == "close") {
      member.peer.stream().finish();
    } else if (what == "look") {
      out["received"] = member.received.so_far();
      out["sent"] = member.sent.so_far();
    }
    tell(out);
  }

  // On the node's thread.
  std::map<std::uint64_t, Member> members_;  // 0: nobody
  std::uint64_t last_member_ = 0;
  std::uint64_t last_request_ = 0;
  std::optional<Exchange> exchange_;
};

}  // namespace

int main(int count, char** words) {
  OldNode node{count > 1 ? Json::parse(words[1]) : Json::object()};
  for (std::string line; std::getline(std::cin, line);) node.obey(Json::parse(line));
}
