// SPDX-License-Identifier: MIT
//
// Seals datagrams between the two that hold the certificates which the descriptions named (DTLS
// 1.2, RFC 6347, as RFC 8827 §6.5 wants it). Nobody vouches for those certificates: that the other
// side's has the right fingerprint is all that is asked, and it is asked of both roles.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "peer_relay/bytes.hpp"
#include "transport/webrtc/sdp.hpp"

namespace boost::asio {
class io_context;
}

namespace peer_relay::webrtc {

/// A datagram that every path takes: IPv6's least MTU less headers, as browsers have it.
inline constexpr std::size_t datagram_bytes_max = 1200;

/// What a record adds at most: header, explicit nonce and tag of AES-GCM (RFC 5288 §3).
inline constexpr std::size_t record_overhead_bytes = 13 + 8 + 16;

/// SHA-256 of a certificate.
using CertificateDigest = std::array<std::uint8_t, 32>;

/// A key and a certificate for it, made on the spot; for any number of connections of one thread.
class Certificate {
 public:
  /// Nothing only where OpenSSL refuses its service.
  static std::unique_ptr<Certificate> make();
  ~Certificate();
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  const CertificateDigest& digest() const { return digest_; }
  Fingerprint fingerprint() const;

 private:
  friend class Dtls;
  struct Context;
  explicit Certificate(std::unique_ptr<Context> context);

  std::unique_ptr<Context> context_;
  CertificateDigest digest_{};
};

enum class DtlsEnd : std::uint8_t {
  by_peer,               ///< said goodbye
  failed,                ///< no agreement, or bytes that are no DTLS
  fingerprint_mismatch,  ///< another certificate than was announced
};

/// What is to be told; the association is never destroyed within one of these.
class DtlsSink {
 public:
  virtual ~DtlsSink() = default;
  virtual void dtls_send(BytesView datagram) = 0;
  /// `peer` is the digest of the certificate that was shown and found right.
  virtual void dtls_opened(const CertificateDigest& peer) = 0;
  virtual void dtls_received(BytesView plain) = 0;
  virtual void dtls_closed(DtlsEnd end) = 0;
};

class Dtls {
 public:
  enum class Role : std::uint8_t { client, server };

  /// `certificate` and `sink` outlive it. One of `expected` must be the other side's.
  Dtls(boost::asio::io_context& io, DtlsSink& sink, const Certificate& certificate, Role role,
       std::vector<Fingerprint> expected);
  ~Dtls();
  Dtls(const Dtls&) = delete;
  Dtls& operator=(const Dtls&) = delete;

  Role role() const;
  /// A way for datagrams is there: the client begins. A second call does nothing.
  void start();
  void handle(BytesView datagram);
  /// One record; false before the handshake is complete, and after the end.
  bool send(BytesView plain);
  /// Says goodbye. Nothing more is heard of it.
  void close();

  struct Association;

 private:
  std::unique_ptr<Association> association_;
};

}  // namespace peer_relay::webrtc
