// SPDX-License-Identifier: MIT
//
// A node's data channels, or that this build makes none.
#pragma once

#include <memory>
#include <string_view>

#include "core/engine/engine.hpp"
#include "peer_relay/node.hpp"
#include "transport/webrtc/webrtc_transport.hpp"

namespace peer_relay {

class DataChannels {
 public:
  /// Null where the options ask for none; an error where they ask for what this build or this
  /// machine does not have. `io` and both sinks outlive it.
  static Result<std::unique_ptr<DataChannels>, StartError> make(boost::asio::io_context& io,
                                                                LinkSink& links,
                                                                NegotiationSink& negotiations,
                                                                const NodeOptions& options);
  ~DataChannels();
  DataChannels(const DataChannels&) = delete;
  DataChannels& operator=(const DataChannels&) = delete;

  void negotiate(const Negotiate& what);

 private:
  struct Transport;
  explicit DataChannels(std::unique_ptr<Transport> transport);
  std::unique_ptr<Transport> transport_;
};

}  // namespace peer_relay
