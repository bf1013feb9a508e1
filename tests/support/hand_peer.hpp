// SPDX-License-Identifier: MIT
//
// A peer made by hand: it speaks TCP, WebSocket, the link's handshake and sealed batches, as far as
// the test lets it, and says in each whatever the test wants. It knows nothing by itself.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/crypto/identity.hpp"
#include "core/noise/handshake.hpp"
#include "core/wire/contact.hpp"
#include "core/wire/envelope.hpp"
#include "core/wire/frame.hpp"
#include "core/wire/hello.hpp"
#include "core/wire/overlay.hpp"
#include "core/wire/sealed.hpp"
#include "sodium/sodium_crypto.hpp"
#include "transport/websocket/testing.hpp"

namespace peer_relay::testing {

class HandPeer {
 public:
  explicit HandPeer(std::uint16_t port, std::string_view network = "peer-relay")
      : stranger_(port), identity_(make_identity(crypto_)) {
    const BytesView parts[] = {as_bytes(network)};
    crypto_.hash(parts, network_);
  }

  SodiumCrypto& crypto() { return crypto_; }
  const Identity& identity() const { return identity_; }
  const NodeId& id() const { return identity_.id; }
  const NetworkHash& network() const { return network_; }
  Stranger& stranger() { return stranger_; }

  // ---- WebSocket ----------------------------------------------------------------------------

  void upgrade() {
    stranger_.say(upgrade_request);
    const bool came = wait([&] { return stranger_.heard().contains("\r\n\r\n"); });
    if (!came) throw std::runtime_error("no answer to an upgrade");
    stranger_.take(stranger_.heard().find("\r\n\r\n") + 4);
  }

  void send(BytesView message) { stranger_.say(client_frame(0x82, as_text(message))); }

  /// The next message, or nothing when the other side has closed.
  std::optional<Bytes> receive() {
    std::optional<Bytes> message;
    wait([&] {
      message = take_message();
      return message.has_value();
    });
    return message;
  }

  /// Whether the other side ends it.
  bool is_closed_soon() {
    return wait([&] {
      while (take_message()) continue;
      return stranger_.is_hung_up();
    });
  }

  // ---- The link's handshake -----------------------------------------------------------------

  Bytes hello() {
    Bytes message;
    encode_hello({.network = network_, .noise = {}}, message);
    handshake_.emplace(noise::HandshakeOptions{.pattern = noise::Pattern::xx,
                                               .role = noise::Role::initiator,
                                               .prologue = message,
                                               .own = identity_.keys.agreement(),
                                               .remote_static = std::nullopt},
                       crypto_);
    static_cast<void>(handshake_->write({}, message));
    return message;
  }

  /// Reads the answer to the hello and makes the FINISH.
  Bytes finish(const Bytes& answer, BytesView contact = {}) {
    const auto accepted = decode_accepted(answer);
    Bytes payload;
    if (!accepted || !handshake_->read(accepted->noise, payload)) {
      throw std::runtime_error("a bad answer to a hello");
    }
    Bytes introduction;
    encode_introduction({.key = identity_.keys.public_key,
                         .agent = "hand/1",
                         .observed_host = "127.0.0.1",
                         .contact = contact},
                        introduction);
    Bytes message;
    static_cast<void>(handshake_->write(introduction, message));
    auto ciphers = handshake_->split();
    if (!ciphers) throw std::runtime_error("no keys");
    ciphers_.emplace(std::move(*ciphers));
    return message;
  }

  /// All of it, up to a link that stands.
  void link() {
    upgrade();
    send(hello());
    const auto answer = receive();
    if (!answer) throw std::runtime_error("no answer to a hello");
    send(finish(*answer));
    Bytes batch;
    append_ping(FrameKind::ping, 7, batch);
    send_batch(std::move(batch));
  }

  // ---- Sealed batches -----------------------------------------------------------------------

  /// Seals a row of frames.
  Bytes seal(Bytes batch) {
    const std::size_t plain = batch.size();
    batch.resize(plain + tag_bytes);
    static_cast<void>(ciphers_->send.seal({}, BytesView{batch}.first(plain), batch, crypto_));
    return batch;
  }
  void send_batch(Bytes batch) { send(seal(std::move(batch))); }

  void send_envelope(const Envelope& envelope) {
    Bytes batch;
    append_route_frame(envelope, batch);
    send_batch(std::move(batch));
  }
  void send_frame(FrameKind kind, BytesView body) {
    Bytes batch;
    append_frame(kind, body, batch);
    send_batch(std::move(batch));
  }

  struct Received {
    Bytes bytes;
    Envelope envelope;  ///< a view of the bytes
  };
  /// The next envelope of a kind for us; whatever else comes is dropped.
  std::optional<Received> receive_envelope(EnvelopeKind kind) {
    while (auto message = receive()) {
      const auto opened = ciphers_->receive.open({}, *message, *message, crypto_);
      if (!opened) return std::nullopt;
      FrameReader frames{*opened};
      while (const auto frame = frames.next()) {
        if (FrameKind{frame->kind} != FrameKind::route) continue;
        Received out{{frame->body.begin(), frame->body.end()}, {}};
        const auto envelope = decode_envelope(out.bytes);
        if (!envelope || envelope->kind != kind || envelope->target != id()) continue;
        out.envelope = *envelope;
        return out;
      }
    }
    return std::nullopt;
  }

  // ---- A session, end to end ----------------------------------------------------------------

  struct Session {
    std::uint32_t their_index = 0;
    noise::Key key;
    Envelope finish_envelope{};
    Bytes open_body, finish_body;
  };

  Session open_session(const NodeId& to) {
    Bytes prologue;
    const auto add = [&prologue](BytesView part) {
      prologue.insert(prologue.end(), part.begin(), part.end());
    };
    add(as_bytes("peer-relay session 1"));
    add(network_);
    add(id().bytes);
    add(to.bytes);
    noise::Handshake handshake{{.pattern = noise::Pattern::xx,
                                .role = noise::Role::initiator,
                                .prologue = prologue,
                                .own = identity_.keys.agreement(),
                                .remote_static = std::nullopt},
                               crypto_};
    Bytes open;
    encode_session_open({.pattern = SessionPattern::xx, .index = 77, .noise = {}}, open);
    static_cast<void>(handshake.write({}, open));
    send_envelope(to, EnvelopeKind::session_open, open);
    const auto received = receive_envelope(EnvelopeKind::session_answer);
    const auto answer = received ? decode_session_answer(received->envelope.body)
                                 : Decoded<SessionAnswer>{std::unexpected(DecodeError::truncated)};
    Bytes payload;
    if (!answer || !handshake.read(answer->noise, payload)) {
      throw std::runtime_error("no answer to a session");
    }
    Bytes proof;
    encode_session_payload({.key = identity_.keys.public_key,
                            .unix_ms = unix_ms(),
                            .early_taken = false,
                            .contents = {}},
                           proof);
    Bytes finish;
    encode_session_finish({.index = answer->answerer_index, .noise = {}}, finish);
    static_cast<void>(handshake.write(proof, finish));
    send_envelope(to, EnvelopeKind::session_finish, finish);
    auto ciphers = handshake.split();
    if (!ciphers) throw std::runtime_error("no keys of a session");
    return {.their_index = answer->answerer_index,
            .key = std::move(ciphers->send).take_key(),
            .open_body = std::move(open),
            .finish_body = std::move(finish)};
  }

  void send_envelope(const NodeId& to, EnvelopeKind kind, BytesView body) {
    send_envelope({.kind = kind, .tag = ++tag_, .target = to, .source = id(), .body = body});
  }

  /// The body of a SESSION_DATA with a text in it.
  Bytes session_data(const Session& session, std::uint64_t counter, std::string_view text) {
    Bytes content;
    encode_content({.kind = ContentKind::data, .payload = as_bytes(text)}, content);
    Bytes body;
    encode_session_data_header(session.their_index, counter, body);
    body.resize(body.size() + content.size() + tag_bytes);
    const MutableBytes sealed = MutableBytes{body}.subspan(session_data_header_bytes);
    static_cast<void>(session.key.seal(counter, {}, content, sealed, crypto_));
    return body;
  }

  // ---- Contacts -----------------------------------------------------------------------------

  /// A record with a good signature.
  Bytes contact(std::uint64_t lifetime_seconds) { return contact_of(identity_, lifetime_seconds); }
  Bytes contact_of(const Identity& whose, std::uint64_t lifetime_seconds) {
    ContactRecord record;
    record.key = whose.keys.public_key;
    record.sequence = unix_ms();
    record.expiry = unix_ms() / 1000 + lifetime_seconds;
    record.addresses = {Address::parse("ws://127.0.0.1:1").value()};
    Bytes bytes;
    encode_contact_unsigned(record, bytes);
    const Signature signature = crypto_.sign(whose.keys, contact_signed_bytes(network_, bytes));
    bytes.insert(bytes.end(), signature.begin(), signature.end());
    return bytes;
  }

  static std::uint64_t unix_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }

 private:
  template <class IsSo>
  bool wait(IsSo is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      if (!stranger_.wait(std::chrono::milliseconds{200}) && stranger_.is_hung_up()) return is_so();
    }
    return true;
  }

  /// One message of a server, whole (RFC 6455 §5.2). A close is answered; other control frames are
  /// dropped.
  std::optional<Bytes> take_message() {
    while (true) {
      const std::string& heard = stranger_.heard();
      const auto byte = [&heard](std::size_t i) { return static_cast<std::uint8_t>(heard[i]); };
      if (heard.size() < 2) return std::nullopt;
      std::size_t head = 2;
      std::uint64_t size = byte(1) & 127u;
      if (size >= 126) {
        const std::size_t bytes = size == 126 ? 2 : 8;
        if (heard.size() < head + bytes) return std::nullopt;
        size = 0;
        for (std::size_t i = 0; i < bytes; ++i) size = size << 8 | byte(head + i);
        head += bytes;
      }
      if (heard.size() < head + size) return std::nullopt;
      const std::uint8_t kind = byte(0) & 15u;
      stranger_.take(head);
      const std::string payload = stranger_.take(size);
      if (kind == 8) stranger_.say(client_frame(0x88, payload));  // as RFC 6455 §5.5.1 wants it
      if (kind == 2) return Bytes(payload.begin(), payload.end());
    }
  }

  SodiumCrypto crypto_;
  Stranger stranger_;
  Identity identity_;
  NetworkHash network_{};
  std::optional<noise::Handshake> handshake_;
  std::optional<noise::Ciphers> ciphers_;
  std::uint32_t tag_ = 0;
};

}  // namespace peer_relay::testing
