// SPDX-License-Identifier: MIT
#include "transport/webrtc/dtls.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/assert.hpp"
#include "transport/webrtc/asio_impl.hpp"

namespace peer_relay::webrtc {

namespace {

/// The first flight is sent again after this, and then each time after twice as long. A second is
/// OpenSSL's own choice, and a flight is often lost: one that comes before ICE has seen its sender.
constexpr unsigned retransmit_us = 100'000;
constexpr unsigned retransmit_us_max = 10'000'000;

/// Plain text of one record (RFC 5246 §6.2.1).
constexpr std::size_t record_bytes_max = 16'384;

/// RFC 7983 §7: what else comes on the port (STUN, media) begins otherwise.
bool looks_like_dtls(BytesView datagram) {
  return !datagram.empty() && datagram[0] >= 20 && datagram[0] <= 63;
}

template <auto free>
struct Free {
  void operator()(auto* object) const { free(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;
using MethodPtr = std::unique_ptr<BIO_METHOD, Free<BIO_meth_free>>;

const EVP_MD* digest_of(HashKind kind) {
  switch (kind) {
    case HashKind::sha256:
      return EVP_sha256();
    case HashKind::sha384:
      return EVP_sha384();
    case HashKind::sha512:
      return EVP_sha512();
  }
  return nullptr;
}

Bytes digest(const X509& certificate, HashKind kind) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned bytes = 0;
  if (X509_digest(&certificate, digest_of(kind), out.data(), &bytes) != 1) bytes = 0;
  out.resize(bytes);
  return out;
}

CertificateDigest sha256_of(const X509& certificate) {
  CertificateDigest out{};
  const Bytes bytes = digest(certificate, HashKind::sha256);
  if (bytes.size() == out.size()) std::ranges::copy(bytes, out.begin());
  return out;
}

X509Ptr make_certificate(EVP_PKEY* key) {
  X509Ptr out{X509_new()};
  std::uint64_t serial = 0;
  if (!out || RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return {};
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(out.get()), serial >> 1);
  // From yesterday on: clocks differ.
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -24L * 3600);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 30L * 24 * 3600);
  X509_NAME* const name = X509_get_subject_name(out.get());
  const auto* const who = reinterpret_cast<const unsigned char*>("WebRTC");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, who, -1, -1, 0);
  X509_set_issuer_name(out.get(), name);
  X509_set_pubkey(out.get(), key);
  if (X509_sign(out.get(), key, EVP_sha256()) == 0) return {};
  return out;
}

}  // namespace

struct Certificate::Context {
  KeyPtr key;
  X509Ptr certificate;
  MethodPtr datagrams;  // how OpenSSL reads and writes; outlives the associations
  ContextPtr tls;
};

struct Dtls::Association {
  Association(asio::io_context& io, DtlsSink& to, Role as, std::vector<Fingerprint> right)
      : sink(&to), role(as), expected(std::move(right)), timer(io.get_executor()) {}

  // OpenSSL's side of it.
  static int write(BIO* bio, const char* data, int bytes);
  static int read(BIO* bio, char* out, int bytes);
  static long control(BIO* bio, int command, long number, void* pointer);
  static int verify(X509_STORE_CTX* store, void*);
  static unsigned next_timeout(SSL*, unsigned now_us);

  bool is_right(const X509& certificate) const;
  void shake_hands();
  void arm();
  void read_records();
  void end(DtlsEnd how);
  bool is_fatal(int result);

  enum class State : std::uint8_t { idle, handshake, open, ended };

  DtlsSink* sink;
  Role role;
  std::vector<Fingerprint> expected;
  Timer timer;
  SslPtr ssl;
  std::optional<BytesView> incoming;  // the datagram at hand, once
  State state = State::idle;
  bool saw_wrong_certificate = false;
  std::uint64_t timers = 0;
  std::shared_ptr<bool> lives = std::make_shared<bool>(true);
};

// ---- OpenSSL's side -------------------------------------------------------------------------
//
// One write is one datagram and one read is one datagram: memory BIOs would lose the borders
// between them.

int Dtls::Association::write(BIO* bio, const char* data, int bytes) {
  BIO_clear_retry_flags(bio);
  auto* const self = static_cast<Association*>(BIO_get_data(bio));
  self->sink->dtls_send({reinterpret_cast<const std::uint8_t*>(data), static_cast<size_t>(bytes)});
  return bytes;
}

int Dtls::Association::read(BIO* bio, char* out, int bytes) {
  BIO_clear_retry_flags(bio);
  auto* const self = static_cast<Association*>(BIO_get_data(bio));
  if (!self->incoming) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const BytesView from = *std::exchange(self->incoming, std::nullopt);
  const std::size_t taken = std::min(from.size(), static_cast<std::size_t>(bytes));
  std::memcpy(out, from.data(), taken);
  return static_cast<int>(taken);
}

long Dtls::Association::control(BIO*, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return datagram_bytes_max;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
      return 48;  // IPv6 and UDP
    default:
      return 0;
  }
}

/// Stands in for the whole check of chains, names and dates: an announced certificate is right.
int Dtls::Association::verify(X509_STORE_CTX* store, void*) {
  auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const self = static_cast<Association*>(SSL_get_app_data(ssl));
  const X509* const shown = X509_STORE_CTX_get0_cert(store);
  if (shown != nullptr && self->is_right(*shown)) return 1;
  self->saw_wrong_certificate = true;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

unsigned Dtls::Association::next_timeout(SSL*, unsigned now_us) {
  return now_us == 0 ? retransmit_us : std::min(now_us * 2, retransmit_us_max);
}

bool Dtls::Association::is_right(const X509& certificate) const {
  return std::ranges::any_of(expected, [&](const Fingerprint& each) {
    return !each.digest.empty() && digest(certificate, each.hash) == each.digest;
  });
}

// ---- Certificates ---------------------------------------------------------------------------

std::unique_ptr<Certificate> Certificate::make() {
  auto out = std::make_unique<Context>();
  out->key.reset(EVP_EC_gen("P-256"));
  if (out->key) out->certificate = make_certificate(out->key.get());
  out->tls.reset(SSL_CTX_new(DTLS_method()));
  out->datagrams.reset(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams"));
  if (!out->certificate || !out->tls || !out->datagrams) return nullptr;

  BIO_meth_set_write(out->datagrams.get(), Dtls::Association::write);
  BIO_meth_set_read(out->datagrams.get(), Dtls::Association::read);
  BIO_meth_set_ctrl(out->datagrams.get(), Dtls::Association::control);

  SSL_CTX* const tls = out->tls.get();
  SSL_CTX_set_min_proto_version(tls, DTLS1_2_VERSION);
  SSL_CTX_set_options(tls, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(tls, 1);
  // As server, too: or whoever shows no certificate at all gets in.
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(tls, Dtls::Association::verify, nullptr);
  const bool is_set = SSL_CTX_set_cipher_list(tls, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
                      SSL_CTX_set1_groups_list(tls, "X25519:P-256:P-384") == 1 &&
                      SSL_CTX_use_certificate(tls, out->certificate.get()) == 1 &&
                      SSL_CTX_use_PrivateKey(tls, out->key.get()) == 1;
  if (!is_set) return nullptr;
  return std::unique_ptr<Certificate>(new Certificate(std::move(out)));
}

Certificate::Certificate(std::unique_ptr<Context> context)
    : context_(std::move(context)), digest_(sha256_of(*context_->certificate)) {}

Certificate::~Certificate() = default;

Fingerprint Certificate::fingerprint() const {
  return {.hash = HashKind::sha256, .digest = Bytes(digest_.begin(), digest_.end())};
}

// ---- An association -------------------------------------------------------------------------

Dtls::Dtls(asio::io_context& io, DtlsSink& sink, const Certificate& certificate, Role role,
           std::vector<Fingerprint> expected)
    : association_(std::make_unique<Association>(io, sink, role, std::move(expected))) {
  Association& own = *association_;
  own.ssl.reset(SSL_new(certificate.context_->tls.get()));
  BIO* const bio = BIO_new(certificate.context_->datagrams.get());
  PEER_RELAY_ASSERT(own.ssl && bio != nullptr);  // out of memory
  BIO_set_data(bio, &own);
  BIO_set_init(bio, 1);
  SSL_set_bio(own.ssl.get(), bio, bio);
  SSL_set_app_data(own.ssl.get(), &own);
  SSL_set_mtu(own.ssl.get(), datagram_bytes_max);
  DTLS_set_timer_cb(own.ssl.get(), Association::next_timeout);
  if (role == Role::client) {
    SSL_set_connect_state(own.ssl.get());
  } else {
    SSL_set_accept_state(own.ssl.get());
  }
}

Dtls::~Dtls() { *association_->lives = false; }

Dtls::Role Dtls::role() const { return association_->role; }

void Dtls::start() {
  if (association_->state != Association::State::idle) return;
  association_->state = Association::State::handshake;
  association_->shake_hands();
}

void Dtls::handle(BytesView datagram) {
  Association& own = *association_;
  if (!looks_like_dtls(datagram) || own.state == Association::State::ended) return;
  if (own.state == Association::State::idle) own.state = Association::State::handshake;
  own.incoming = datagram;
  if (own.state == Association::State::handshake) own.shake_hands();
  if (own.state == Association::State::open) own.read_records();
  own.incoming.reset();
}

bool Dtls::send(BytesView plain) {
  Association& own = *association_;
  if (own.state != Association::State::open || plain.empty()) return false;
  ERR_clear_error();
  return SSL_write(own.ssl.get(), plain.data(), static_cast<int>(plain.size())) > 0;
}

void Dtls::close() {
  Association& own = *association_;
  const bool was_open = own.state == Association::State::open;
  own.state = Association::State::ended;
  own.timer.cancel();
  ERR_clear_error();
  if (was_open) SSL_shutdown(own.ssl.get());
}

bool Dtls::Association::is_fatal(int result) {
  const int error = SSL_get_error(ssl.get(), result);
  return error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
}

void Dtls::Association::shake_hands() {
  // The queue of errors is the thread's, and other connections have left theirs in it.
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl.get());
  if (result != 1) {
    if (!is_fatal(result)) return arm();
    return end(saw_wrong_certificate ? DtlsEnd::fingerprint_mismatch : DtlsEnd::failed);
  }
  state = State::open;
  timer.cancel();
  const X509* const shown = SSL_get0_peer_certificate(ssl.get());
  if (shown == nullptr) return end(DtlsEnd::failed);
  sink->dtls_opened(sha256_of(*shown));
}

/// Lost flights are sent again (RFC 6347 §4.2.4).
void Dtls::Association::arm() {
  timeval left{};
  if (DTLSv1_get_timeout(ssl.get(), &left) != 1) return;
  const std::uint64_t number = ++timers;
  timer.expires_after(std::chrono::seconds{left.tv_sec} +
                      std::chrono::microseconds{left.tv_usec + 500});
  timer.async_wait([this, number, alive = lives](error_code error) {
    if (error || !*alive || number != timers || state != State::handshake) return;
    ERR_clear_error();
    if (DTLSv1_handle_timeout(ssl.get()) < 0) return end(DtlsEnd::failed);
    arm();
  });
}

void Dtls::Association::read_records() {
  std::array<std::uint8_t, record_bytes_max> plain;
  while (state == State::open) {
    ERR_clear_error();
    const int bytes = SSL_read(ssl.get(), plain.data(), static_cast<int>(plain.size()));
    if (bytes > 0) {
      sink->dtls_received({plain.data(), static_cast<std::size_t>(bytes)});
      continue;
    }
    if (!is_fatal(bytes)) return;
    const bool said_goodbye = (SSL_get_shutdown(ssl.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
    return end(said_goodbye ? DtlsEnd::by_peer : DtlsEnd::failed);
  }
}

void Dtls::Association::end(DtlsEnd how) {
  if (state == State::ended) return;
  state = State::ended;
  timer.cancel();
  sink->dtls_closed(how);
}

}  // namespace peer_relay::webrtc
