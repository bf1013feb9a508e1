// SPDX-License-Identifier: MIT
#include <fstream>

#include <boost/asio/ssl/host_name_verification.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "transport/websocket/tls_impl.hpp"

namespace peer_relay::websocket {

namespace {

std::unexpected<StartError> refuse(Error error, std::string detail) {
  return std::unexpected(StartError{error, std::move(detail)});
}

bool is_readable(const std::string& path) { return std::ifstream{path}.good(); }

TlsContext bare_context(asio::ssl::context::method method) {
  auto context = std::make_unique<asio::ssl::context>(method);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Old sessions are not worth their memory: links live long.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  // An idle link gives its two record buffers back, 34 KiB.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  return context;
}

}  // namespace

Result<TlsContext, StartError> listening_tls(const TlsFiles& files) {
  for (const std::string& path : {files.certificate, files.key}) {
    if (!is_readable(path)) {
      return refuse(Error::file_unreadable, fmt::format("cannot read the TLS file '{}'", path));
    }
  }
  TlsContext context = bare_context(asio::ssl::context::tls_server);
  error_code error;
  // Without it OpenSSL would ask for the passphrase on the terminal.
  context->set_password_callback(
      [](std::size_t, asio::ssl::context::password_purpose) { return std::string{}; }, error);
  context->use_certificate_chain_file(files.certificate, error);
  if (error) {
    return refuse(Error::tls_invalid, fmt::format("'{}' holds no certificate chain in PEM: {}",
                                                  files.certificate, error.message()));
  }
  context->use_private_key_file(files.key, asio::ssl::context::pem, error);
  if (error) {
    return refuse(
        Error::tls_invalid,
        fmt::format("'{}' holds no private key in PEM without a passphrase that belongs to "
                    "the certificate '{}': {}",
                    files.key, files.certificate, error.message()));
  }
  return context;
}

Result<TlsContext, StartError> dialing_tls(const std::string& ca_file) {
  TlsContext context = bare_context(asio::ssl::context::tls_client);
  error_code error;
  if (ca_file.empty()) {
    context->set_default_verify_paths(error);
    if (error) return refuse(Error::tls_invalid, "the system's certificate store is unusable");
  } else {
    if (!is_readable(ca_file)) {
      return refuse(Error::file_unreadable, fmt::format("cannot read the CA file '{}'", ca_file));
    }
    context->load_verify_file(ca_file, error);
    if (error) {
      return refuse(Error::tls_invalid, fmt::format("'{}' holds no CA certificates in PEM: {}",
                                                    ca_file, error.message()));
    }
  }
  context->set_verify_mode(asio::ssl::verify_peer, error);
  return context;
}

void expect_host(TlsSocket& socket, const std::string& host) {
  error_code is_name;
  asio::ip::make_address(host, is_name);
  // RFC 6066 §3: no IP addresses in the server name. (The macro of OpenSSL casts the const away.)
  if (is_name) {
    SSL_ctrl(socket.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(host.c_str()));
  }
  error_code ignored;
  socket.set_verify_callback(
      [check = asio::ssl::host_name_verification(host)](bool trusted,
                                                        asio::ssl::verify_context& chain) {
        if (check(trusted, chain)) return true;
        // Leaves a word of it for tls_complaint.
        if (trusted) X509_STORE_CTX_set_error(chain.native_handle(), X509_V_ERR_HOSTNAME_MISMATCH);
        return false;
      },
      ignored);
}

std::string tls_complaint(TlsSocket& socket, error_code error, const std::string& host) {
  const long verdict = SSL_get_verify_result(socket.native_handle());
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH) {
    return fmt::format("the certificate is not for '{}'", host);
  }
  if (verdict != X509_V_OK) {
    return fmt::format("the certificate is not trusted: {}",
                       X509_verify_cert_error_string(verdict));
  }
  return fmt::format("TLS failed: {}", error.message());
}

}  // namespace peer_relay::websocket
