// SPDX-License-Identifier: MIT
#include "runtime/native_crypto.hpp"

#include <algorithm>
#include <array>

#include <openssl/evp.h>

#include "base/assert.hpp"

namespace peer_relay {

namespace {

/// OpenSSL's detours for each call outweigh its speed below this.
constexpr std::size_t long_bytes_min = 449;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

std::array<std::uint8_t, 12> nonce_of(std::uint64_t counter) {
  std::array<std::uint8_t, 12> nonce{};
  for (std::size_t i = 4; i < nonce.size(); ++i, counter >>= 8) {
    nonce[i] = static_cast<std::uint8_t>(counter);
  }
  return nonce;
}

int size_of(BytesView bytes) { return static_cast<int>(bytes.size()); }

/// OpenSSL goes over what it is given twice, once for the cipher and once for the tag: so much of
/// it is still in the first cache then. A quarter faster than a whole batch at once.
constexpr std::size_t piece_bytes = 8192;

/// `update` is EVP_EncryptUpdate or EVP_DecryptUpdate.
template <class Update>
bool convert(Update update, EVP_CIPHER_CTX* context, BytesView in, std::uint8_t* out) {
  while (!in.empty()) {
    const BytesView piece = in.first(std::min(in.size(), piece_bytes));
    in = in.subspan(piece.size());
    int written = 0;
    if (update(context, out, &written, piece.data(), size_of(piece)) != 1) return false;
    out += written;
  }
  return true;
}

}  // namespace

/// Made once, because looking the cipher up takes longer than using it.
struct NativeCrypto::Contexts {
  Context seal{EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free};
  Context open{EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free};
};

NativeCrypto::NativeCrypto() : contexts_(std::make_unique<Contexts>()) {
  const EVP_CIPHER* const cipher = EVP_chacha20_poly1305();
  const bool made =
      EVP_EncryptInit_ex(contexts_->seal.get(), cipher, nullptr, nullptr, nullptr) == 1 &&
      EVP_DecryptInit_ex(contexts_->open.get(), cipher, nullptr, nullptr, nullptr) == 1;
  // A build of OpenSSL without this cipher: then libsodium does it all.
  if (!made) contexts_.reset();
}

NativeCrypto::~NativeCrypto() = default;

void NativeCrypto::seal(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                        BytesView plain, std::uint8_t* out) {
  if (contexts_ == nullptr || plain.size() < long_bytes_min) {
    return SodiumCrypto::seal(key, counter, associated, plain, out);
  }
  EVP_CIPHER_CTX* const context = contexts_->seal.get();
  int written = 0;
  int rest = 0;
  bool sealed =
      EVP_EncryptInit_ex(context, nullptr, nullptr, key.data(), nonce_of(counter).data()) == 1;
  if (!associated.empty()) {
    sealed = sealed && EVP_EncryptUpdate(context, nullptr, &written, associated.data(),
                                         size_of(associated)) == 1;
  }
  sealed = sealed && convert(EVP_EncryptUpdate, context, plain, out) &&
           EVP_EncryptFinal_ex(context, out + plain.size(), &rest) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_bytes, out + plain.size()) == 1;
  PEER_RELAY_ASSERT(sealed);
}

bool NativeCrypto::open(const SymmetricKey& key, std::uint64_t counter, BytesView associated,
                        BytesView sealed, std::uint8_t* out) {
  if (contexts_ == nullptr || sealed.size() < long_bytes_min + tag_bytes) {
    return SodiumCrypto::open(key, counter, associated, sealed, out);
  }
  const BytesView covered = sealed.first(sealed.size() - tag_bytes);
  std::array<std::uint8_t, tag_bytes> tag;
  std::ranges::copy(sealed.last(tag_bytes), tag.begin());
  EVP_CIPHER_CTX* const context = contexts_->open.get();
  int written = 0;
  int rest = 0;
  bool ready =
      EVP_DecryptInit_ex(context, nullptr, nullptr, key.data(), nonce_of(counter).data()) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) == 1;
  if (!associated.empty()) {
    ready = ready && EVP_DecryptUpdate(context, nullptr, &written, associated.data(),
                                       size_of(associated)) == 1;
  }
  ready = ready && convert(EVP_DecryptUpdate, context, covered, out);
  PEER_RELAY_ASSERT(ready);
  if (EVP_DecryptFinal_ex(context, out + covered.size(), &rest) == 1) return true;
  // It uncovers before it knows the tag; nobody may read what was forged.
  wipe({out, covered.size()});
  return false;
}

}  // namespace peer_relay
