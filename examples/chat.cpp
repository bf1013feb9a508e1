// SPDX-License-Identifier: MIT
//
// A chat between two terminals. The first prints the command for the second:
//
//   chat
//   chat ws://127.0.0.1:PORT ID
#include <cstdio>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>

#include <peer_relay/node.hpp>

int main(int argc, char** argv) {
  std::mutex mutex;                             // events come on the node's own thread
  std::optional<peer_relay::NodeId> friend_id;  // told, or else the first who writes
  if (argc > 2) friend_id = peer_relay::NodeId::from_hex(argv[2]);

  peer_relay::NodeOptions options;
  options.port = 0;  // any that is free
  if (argc > 1) options.bootstrap = {argv[1]};
  auto node = peer_relay::Node::start(options, {.message = [&](const peer_relay::Message& message) {
                                        const std::lock_guard lock{mutex};
                                        if (!friend_id) friend_id = message.from;
                                        std::cout << message.from.short_hex() << ": "
                                                  << message.payload.text() << std::endl;
                                      }});
  if (!node) {
    std::cerr << "chat: " << node.error().detail << "\n";
    return 1;
  }
  std::cout << "Now run: " << argv[0] << " " << node->url() << " " << node->id().to_hex()
            << std::endl;

  for (std::string line; std::getline(std::cin, line);) {
    const std::lock_guard lock{mutex};
    if (!friend_id) {
      std::cout << "(nobody is here yet)" << std::endl;
      continue;
    }
    node->send(*friend_id, peer_relay::Payload::of_text(line), {},
               [](const peer_relay::SendResult& result) {
                 if (!result.delivered()) std::cout << "(not delivered)" << std::endl;
               });
  }
}
