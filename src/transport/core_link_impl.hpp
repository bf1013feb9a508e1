// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include "transport/context_impl.hpp"

namespace peer_relay::sockets {

/// The runtime's hold on a link whose work is done by a core, which its handlers hold, too.
template <class Core>
class CoreLink final : public Link {
 public:
  CoreLink(boost::intrusive_ptr<Core> core, Remote remote)
      : core_(std::move(core)), remote_(std::move(remote)) {}
  ~CoreLink() override { core_->abandon(); }
  CoreLink(const CoreLink&) = delete;
  CoreLink& operator=(const CoreLink&) = delete;

  void send(Bytes batch) override { core_->send(std::move(batch)); }
  void send_text(Bytes text) override { core_->send_text(std::move(text)); }
  std::size_t queued_bytes() const override { return core_->queued_bytes(); }
  void close(CloseReason reason) override { core_->close(reason); }
  const std::string& remote() const override { return remote_.name; }
  bool may_be_old() const override { return remote_.may_be_old; }

 private:
  boost::intrusive_ptr<Core> core_;
  Remote remote_;
};

/// Gives a new link to the sink, and then has its core begin to read.
template <class Core>
void open_link(Context& context, LinkId id, const boost::intrusive_ptr<Core>& core, Remote remote,
               std::optional<DialId> dial) {
  LinkArrival arrival{.dial = dial, .remote_host = remote.host};
  context.sink->link_opened(id, std::make_unique<CoreLink<Core>>(core, std::move(remote)),
                            std::move(arrival));
  core->start();
}

}  // namespace peer_relay::sockets
