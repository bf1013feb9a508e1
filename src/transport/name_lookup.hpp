// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace peer_relay {

/// The IP addresses of a name in text, with their scope where they need one; or why there are none.
struct NameAddresses {
  std::vector<std::string> found;
  std::string complaint;
};

/// Asks the system for names' addresses, each on a thread of its own: the call can't be called off,
/// and a name server that is silent must hold up neither other names nor the end of the process.
class NameLookup {
 public:
  /// Calls that a silent name server may keep at a time; beyond it names are given up at once.
  static constexpr std::size_t calls_max = 32;

  using Then = std::function<void(NameAddresses)>;

  explicit NameLookup(boost::asio::io_context& io);
  /// Calls under way end without a word.
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  /// `then` comes in a later turn of the io_context, once; not at all after a complaint.
  std::optional<std::string> ask(std::string host, Then then);

 private:
  struct Calls;
  std::shared_ptr<Calls> calls_;
};

}  // namespace peer_relay
