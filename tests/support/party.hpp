// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "peer_relay/exchange.hpp"
#include "test_node.hpp"

namespace peer_relay::testing {

/// An exchange, and all that it told. Its calls wait for their answers.
class Party {
 public:
  explicit Party(ExchangeOptions options, const std::string& network = "net")
      : exchange_(std::in_place, network, std::move(options), events()) {}
  ~Party() { exchange_.reset(); }
  Party(const Party&) = delete;
  Party& operator=(const Party&) = delete;

  Exchange* operator->() { return &*exchange_; }

  std::expected<std::uint16_t, ExchangeError> accept(const std::string& transport,
                                                     TransportOptions options) {
    std::promise<std::expected<std::uint16_t, ExchangeError>> answer;
    exchange_->accept(transport, std::move(options),
                      [&](const auto& result) { answer.set_value(result); });
    return answer.get_future().get();
  }
  template <class Ask>
  std::expected<ExchangePeer, ExchangeError> wait_for(Ask ask) {
    std::promise<std::expected<ExchangePeer, ExchangeError>> answer;
    ask([&](const auto& result) { answer.set_value(result); });
    auto future = answer.get_future();
    if (future.wait_for(std::chrono::seconds{40}) != std::future_status::ready) {
      throw std::runtime_error("no answer");
    }
    return future.get();
  }
  auto connect(const std::string& transport, const std::string& host, TransportOptions options) {
    return wait_for([&](auto done) {
      exchange_->connect(transport, host, std::move(options), std::move(done));
    });
  }
  auto get_new_peer() {
    return wait_for([&](auto done) { exchange_->get_new_peer(std::move(done)); });
  }
  [[nodiscard]] bool until(const std::function<bool()>& is_so) { return board.until(is_so); }

  Board board;
  std::vector<ExchangePeer> peers, gone;
  std::vector<ExchangeError> errors;

 private:
  ExchangeEvents events() {
    return {
        .peer = [this](const auto& peer) { board.change([&] { peers.push_back(peer); }); },
        .disconnect = [this](const auto& peer) { board.change([&] { gone.push_back(peer); }); },
        .error = [this](const auto& error) { board.change([&] { errors.push_back(error); }); },
    };
  }
  std::optional<Exchange> exchange_;
};

}  // namespace peer_relay::testing
