// SPDX-License-Identifier: MIT
//
// An opened batch from a peer that proved its id and means no good: every frame is walked to and
// decoded, and the bodies of envelopes too, as a node at their end would do it.
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/frame.hpp"
#include "core/wire/legacy.hpp"
#include "core/wire/overlay.hpp"
#include "core/wire/sealed.hpp"
#include "core/wire/stream.hpp"

namespace {

using namespace peer_relay;

void decode_body(const Envelope& envelope) {
  using enum EnvelopeKind;
  switch (envelope.kind) {
    case lookup:
      (void)decode_lookup(envelope.body);
      break;
    case contacts:
      (void)decode_lookup_answer(envelope.body);
      break;
    case unreachable:
      (void)decode_unreachable(envelope.body);
      break;
    case session_open:
      (void)decode_session_open(envelope.body);
      break;
    case session_answer:
      (void)decode_session_answer(envelope.body);
      break;
    case session_finish:
      (void)decode_session_finish(envelope.body);
      break;
    case session_data:
      (void)decode_session_data(envelope.body);
      break;
    case session_unknown:
      (void)decode_session_unknown(envelope.body);
      break;
  }
}

void pass_on(const Envelope& envelope, const Frame& frame) {
  Bytes batch;
  append_route_frame(envelope, batch);
  PEER_RELAY_ASSERT(batch.size() == route_frame_bytes(envelope));
  PEER_RELAY_ASSERT(batch.size() == frame_header_bytes + frame.body.size());
}

void decode_frame(const Frame& frame) {
  using enum FrameKind;
  switch (FrameKind{frame.kind}) {
    case route:
      if (const auto envelope = decode_envelope(frame.body)) {
        decode_body(*envelope);
        pass_on(*envelope, frame);
      }
      break;
    case ping:
    case pong:
      (void)decode_ping(frame.body);
      break;
    case contacts:
      (void)decode_neighbour_contacts(frame.body);
      break;
    case goodbye:
      (void)decode_goodbye(frame.body);
      break;
    case dial_back:
      (void)decode_dial_back(frame.body);
      break;
    case dial_back_result:
      (void)decode_dial_back_result(frame.body);
      break;
    case FrameKind::legacy:
      (void)decode_legacy(frame.body);
      break;
    case stream_data:
      (void)decode_stream_data(frame.body);
      break;
    case stream_window:
      (void)decode_stream_window(frame.body);
      break;
    case stream_reset:
      (void)decode_stream_reset(frame.body);
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes batch(data, data + size);
  std::size_t walked = 0;
  FrameReader frames{batch};
  while (const auto frame = frames.next()) {
    walked += frame_header_bytes + frame->body.size();
    decode_frame(*frame);
  }
  PEER_RELAY_ASSERT(frames.is_broken() ? walked < size : walked == size);
  return 0;
}
