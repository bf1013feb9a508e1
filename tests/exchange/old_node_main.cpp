// SPDX-License-Identifier: MIT
//
// A node of ours in a network of npm peer-exchange, for the tests: told what to do by lines of JSON
// on standard input, telling what happens by lines of JSON on standard output. Ends with the input.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include "base/random.hpp"
#include "runtime/host.hpp"

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

class OldNode {
 public:
  explicit OldNode(const Json& options) {
    NodeOptions with;
    with.network = options.value("network", "net-1");
    with.host = "127.0.0.1";
    with.port = 0;
    with.tcp_port = 0;
    with.old_exchange = true;
    with.webrtc.enabled = options.value("webrtc", false);
    with.webrtc.interfaces = {"127.0.0.1"};
    if (!with.webrtc.enabled) with.webrtc.interfaces.clear();
    NodeEvents events;
    events.error = [](const Problem& problem) {
      tell({{"event", "problem"},
            {"kind", name_of(problem.kind)},
            {"where", problem.where},
            {"detail", problem.detail}});
    };
    auto host = Host::make(std::move(with), std::move(events));
    if (!host) {
      std::cerr << host.error().detail << "\n";
      std::exit(1);
    }
    host_ = std::move(*host);
    host_->set_exchange_ear(
        {.up = [this](auto&& up) { hear(up); },
         .bytes =
             [this](auto&& bytes) {
               Peer& peer = peers_[number(bytes.peer)];
               peer.received.take(bytes.bytes);
               if (peer.reads) host_->exchange_consumed(bytes.peer, bytes.bytes.size());
             },
         .writable = [this](ExchangePeerId id) { pour(id); },
         .ended = [](ExchangePeerId id) { tell({{"event", "ended"}, {"peer", number(id)}}); },
         .down =
             [](auto&& down) {
               tell({{"event", "down"},
                     {"peer", number(down.peer)},
                     {"reason", name_of(down.reason)}});
             },
         .failed =
             [](auto&& failed) {
               tell({{"event", "failed"},
                     {"request", failed.request},
                     {"why", name_of(failed.why)},
                     {"dial_error", name_of(failed.dial_error)},
                     {"network", failed.network},
                     {"detail", failed.detail}});
             }});
    thread_ = std::thread{[this] { host_->run(); }};
    tell({{"event", "ready"}, {"port", host_->port()}, {"tcp_port", host_->tcp_port()}});
  }

  ~OldNode() {
    host_->call([this] { host_->release(); });
    thread_.join();
  }

  void obey(const Json& order) {
    host_->call([this, order] { tell(answer(order)); });
  }

 private:
  struct Peer {
    Digest received;
    Digest sent;
    std::uint64_t left = 0;  // to pour
    Random random{1};
    bool reads = true;
  };

  static std::uint64_t number(ExchangePeerId id) { return static_cast<std::uint64_t>(id); }
  static void tell(const Json& event) {
    const std::string line = event.dump() + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }

  void hear(const NotifyWish::ExchangePeerUp& up) {
    Json event{{"event", "peer"},
               {"peer", number(up.peer)},
               {"transport", name_of(up.transport)},
               {"remote", up.remote},
               {"remote_host", up.remote_host},
               {"incoming", !up.request.has_value()}};
    if (up.request) event["request"] = *up.request;
    peers_.try_emplace(number(up.peer));
    tell(event);
  }

  void pour(ExchangePeerId id) {
    Peer& peer = peers_[number(id)];
    while (peer.left > 0 && host_->exchange_has_room(id)) {
      Bytes bytes(std::min<std::uint64_t>(peer.left, 1 + peer.random.below(100'000)));
      for (std::size_t i = 0; i < bytes.size(); i += 8) {
        const std::uint64_t word = peer.random.next();
        for (std::size_t j = i; j < std::min(i + 8, bytes.size()); ++j) {
          bytes[j] = static_cast<std::uint8_t>(word >> 8 * (j - i));
        }
      }
      peer.sent.take(bytes);
      peer.left -= bytes.size();
      host_->exchange_write(id, std::move(bytes));
    }
  }

  Json answer(const Json& order) {
    const std::string what = order.at("do");
    Json out{{"tag", order.value("tag", 0)}};
    const ExchangePeerId peer{order.value("peer", std::uint64_t{0})};
    if (what == "connect") {
      out["request"] =
          host_->exchange_connect(Address::parse(order.at("url").get<std::string>()).value());
    } else if (what == "get_new_peer") {
      out["request"] =
          host_->exchange_get_new_peer(order.contains("peer") ? std::optional{peer} : std::nullopt);
    } else if (what == "accept" || what == "unaccept") {
      const auto by = exchange_transport_of(order.at("transport").get<std::string>()).value();
      const auto port = by == ExchangeTransport::tcp ? host_->tcp_port() : host_->port();
      if (what == "accept") {
        host_->exchange_accept(by, port);
      } else {
        host_->exchange_unaccept(by);
      }
    } else if (what == "write") {
      const std::string text = order.at("text");
      peers_[number(peer)].sent.take(as_bytes(text));
      out["taken"] = host_->exchange_write(peer, Bytes(text.begin(), text.end()));
    } else if (what == "pour") {
      peers_[number(peer)].left = order.at("bytes");
      pour(peer);
    } else if (what == "stop_reading") {
      peers_[number(peer)].reads = false;
    } else if (what == "close") {
      host_->exchange_close(peer);
    } else if (what == "look") {
      out["received"] = peers_[number(peer)].received.so_far();
      out["sent"] = peers_[number(peer)].sent.so_far();
    } else if (what == "stats") {
      const Stats stats = host_->stats();
      for (std::size_t i = 0; i < static_cast<std::size_t>(DropReason::count_); ++i) {
        out["dropped"][std::string{name_of(DropReason{static_cast<std::uint8_t>(i)})}] =
            stats.dropped[i];
      }
    }
    return out;
  }

  std::shared_ptr<Host> host_;
  std::thread thread_;
  std::map<std::uint64_t, Peer> peers_;
};

}  // namespace

int main(int count, char** words) {
  OldNode node{count > 1 ? Json::parse(words[1]) : Json::object()};
  for (std::string line; std::getline(std::cin, line);) node.obey(Json::parse(line));
}
