// SPDX-License-Identifier: MIT
//
// For tests of this room and of those above: certificates made on the spot, and what a stranger
// says who speaks WebSocket by hand.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "transport/testing.hpp"

namespace peer_relay::testing {

/// A directory that goes with the test.
class TemporaryDir {
 public:
  TemporaryDir() {
    std::string name = (std::filesystem::temp_directory_path() / "peer-relay-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  ~TemporaryDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDir(const TemporaryDir&) = delete;
  TemporaryDir& operator=(const TemporaryDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// A certificate authority that signs what it is asked to.
class CertificateAuthority {
 public:
  explicit CertificateAuthority(const std::string& directory) : directory_(directory) {
    certificate_ = certificate("Test authority", "", key_.get(), -60, 3600);
    save(ca_file(), [this](std::FILE* file) { PEM_write_X509(file, certificate_.get()); });
  }

  std::string ca_file() const { return directory_ + "/ca.pem"; }

  struct Files {
    std::string certificate, key;
  };

  /// `names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1". Times in seconds from now.
  Files issue(const std::string& label, const std::string& names, long not_before = -60,
              long not_after = 3600) {
    const KeyPtr key{EVP_EC_gen("P-256")};
    const CertificatePtr leaf = certificate(label, names, key.get(), not_before, not_after);
    const Files files{directory_ + "/" + label + ".pem", directory_ + "/" + label + ".key"};
    save(files.certificate, [&](std::FILE* file) { PEM_write_X509(file, leaf.get()); });
    save(files.key, [&](std::FILE* file) {
      PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return files;
  }

 private:
  template <auto free>
  struct Free {
    void operator()(auto* object) const { free(object); }
  };
  using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
  using CertificatePtr = std::unique_ptr<X509, Free<X509_free>>;

  CertificatePtr certificate(const std::string& label, const std::string& names, EVP_PKEY* key,
                             long not_before, long not_after) {
    CertificatePtr out{X509_new()};
    X509* const raw = out.get();
    X509_set_version(raw, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(raw), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(raw), not_before);
    X509_gmtime_adj(X509_getm_notAfter(raw), not_after);
    X509_set_pubkey(raw, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(label.c_str()), -1, -1, 0);
    X509* const issuer = certificate_ ? certificate_.get() : raw;
    X509_set_issuer_name(raw, X509_get_subject_name(issuer));
    if (names.empty()) {
      extend(raw, issuer, NID_basic_constraints, "critical,CA:TRUE");
    } else {
      extend(raw, issuer, NID_subject_alt_name, names);
    }
    X509_sign(raw, key_.get(), EVP_sha256());
    return out;
  }

  static void extend(X509* to, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) throw std::runtime_error("bad extension " + value);
    X509_add_ext(to, extension, -1);
    X509_EXTENSION_free(extension);
  }

  template <class Write>
  static void save(const std::string& path, Write write) {
    std::FILE* const file = std::fopen(path.c_str(), "w");
    if (file == nullptr) throw std::runtime_error("cannot write " + path);
    write(file);
    std::fclose(file);
  }

  std::string directory_;
  long serial_ = 0;
  KeyPtr key_{EVP_EC_gen("P-256")};
  CertificatePtr certificate_;
};

inline constexpr std::string_view upgrade_request =
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A frame as a client sends it (RFC 6455 §5.2); `first` is FIN and opcode.
inline std::string client_frame(std::uint8_t first, std::string_view payload) {
  std::string out{static_cast<char>(first)};
  const auto put = [&out](std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 255);
  };
  if (payload.size() < 126) {
    put(128 | payload.size(), 1);
  } else if (payload.size() < 65536) {
    put(128 | 126, 1);
    put(payload.size(), 2);
  } else {
    put(128 | 127, 1);
    put(payload.size(), 8);
  }
  constexpr std::string_view mask = "\x12\x34\x56\x78";
  out += mask;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out += static_cast<char>(payload[i] ^ mask[i % 4]);
  }
  return out;
}

}  // namespace peer_relay::testing
