// SPDX-License-Identifier: MIT
#include "core/session/session_keys.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "core/session/sessions.hpp"

namespace peer_relay {

SessionKeys::SessionKeys(noise::Ciphers ciphers, Origin origin, TimePoint now)
    : send_(std::move(ciphers.send).take_key()),
      receive_(std::move(ciphers.receive).take_key()),
      made_(now),
      origin_(origin) {}

void SessionKeys::seal(Bytes& content, Bytes& scratch, Crypto& crypto) {
  PEER_RELAY_ASSERT(content.size() >= session_data_header_bytes);
  scratch.clear();
  encode_session_data_header(origin_.their_index, counter_, scratch);
  PEER_RELAY_ASSERT(scratch.size() == session_data_header_bytes);
  std::ranges::copy(scratch, content.begin());

  const std::size_t plain_bytes = content.size() - session_data_header_bytes;
  content.resize(content.size() + tag_bytes);
  const MutableBytes sealed = MutableBytes{content}.subspan(session_data_header_bytes);
  const auto done = send_.seal(counter_, {}, sealed.first(plain_bytes), sealed, crypto);
  PEER_RELAY_ASSERT(done.has_value());
  ++counter_;
}

std::expected<MutableBytes, DropReason> SessionKeys::open(std::uint64_t counter,
                                                          MutableBytes sealed, TimePoint now,
                                                          Crypto& crypto) {
  PEER_RELAY_ASSERT(!is_dead(now));
  if (!seen_.is_new(counter)) return std::unexpected(DropReason::replayed);
  const auto plain = receive_.open(counter, {}, sealed, sealed, crypto);
  if (!plain) return std::unexpected(DropReason::seal_broken);
  seen_.take(counter);
  return *plain;
}

bool SessionKeys::may_seal(TimePoint now) const {
  return now - made_ < limits::session_reject_after - limits::session_handshake_timeout;
}

bool SessionKeys::wants_successor(std::uint64_t messages_max, TimePoint now) const {
  const Duration patience = origin_.opened_by_us ? Duration{} : Sessions::answerer_patience;
  return counter_ >= messages_max || now - made_ >= limits::session_rekey_after + patience;
}

}  // namespace peer_relay
