// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <expected>
#include <fstream>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/noise/handshake.hpp"
#include "sodium/deterministic_crypto.hpp"
#include "sodium/testing.hpp"

namespace peer_relay::noise {
namespace {

using ::peer_relay::testing::hex;
using ::peer_relay::testing::ScriptedCrypto;
using ::peer_relay::testing::unhex;
using ::peer_relay::testing::unhex_array;

using Outcome = std::expected<void, NoiseError>;

/// One end of a conversation.
struct Side {
  DeterministicCrypto crypto;
  AgreementPair own;
  std::optional<Handshake> handshake;
  std::optional<Ciphers> ciphers;

  explicit Side(std::uint64_t seed) : crypto(seed) {
    AgreementKey secret;
    crypto.random(secret);
    own = crypto.agreement_pair(secret);
  }
};

/// Two ends about to shake hands, with the same keys for the same pattern each time.
struct Pair {
  Side initiator{1};
  Side responder{2};

  explicit Pair(Pattern pattern, std::string_view prologue = "prologue",
                std::string_view other_prologue = "prologue") {
    std::optional<AgreementKey> known;
    if (pattern == Pattern::ik) known = responder.own.public_key;
    initiator.handshake.emplace(
        HandshakeOptions{pattern, Role::initiator, as_bytes(prologue), initiator.own, known},
        initiator.crypto);
    responder.handshake.emplace(HandshakeOptions{pattern, Role::responder, as_bytes(other_prologue),
                                                 responder.own, std::nullopt},
                                responder.crypto);
  }

  Side& writer(std::size_t message) { return message % 2 == 0 ? initiator : responder; }
  Side& reader(std::size_t message) { return message % 2 == 0 ? responder : initiator; }

  /// Messages up to but not including `end`, each with `payload`; all succeed.
  void exchange(std::size_t end, BytesView payload = {}, std::size_t begin = 0) {
    for (std::size_t i = begin; i < end; ++i) {
      Bytes message;
      Bytes received;
      ASSERT_TRUE(writer(i).handshake->write(payload, message));
      ASSERT_TRUE(reader(i).handshake->read(message, received));
      ASSERT_TRUE(std::ranges::equal(received, payload));
    }
  }

  void finish(std::size_t messages) {
    exchange(messages);
    initiator.ciphers = std::move(*initiator.handshake->split());
    responder.ciphers = std::move(*responder.handshake->split());
  }
};

struct PatternCase {
  Pattern pattern;
  std::size_t messages;
  const char* name;
};

class Handshakes : public ::testing::TestWithParam<PatternCase> {
 protected:
  Pattern pattern() const { return GetParam().pattern; }
  std::size_t messages() const { return GetParam().messages; }
};

INSTANTIATE_TEST_SUITE_P(Noise, Handshakes,
                         ::testing::Values(PatternCase{Pattern::xx, 3, "XX"},
                                           PatternCase{Pattern::ik, 2, "IK"}),
                         [](const auto& tested) { return tested.param.name; });

Bytes sealed(Cipher& cipher, BytesView plain, BytesView associated = {}) {
  DeterministicCrypto crypto{1};
  Bytes out(plain.size() + tag_bytes);
  const auto written = cipher.seal(associated, plain, out, crypto);
  EXPECT_TRUE(written && written->size() == out.size());
  return out;
}

/// What was sealed, or nothing.
std::optional<Bytes> opened(Cipher& cipher, Bytes message, BytesView associated = {}) {
  DeterministicCrypto crypto{1};
  const auto plain = cipher.open(associated, message, message, crypto);
  if (!plain) return std::nullopt;
  return Bytes(plain->begin(), plain->end());
}

Bytes bytes_of(std::string_view text) { return Bytes(text.begin(), text.end()); }

// ---- Known answers ---------------------------------------------------------------------------

struct Transcript {
  Pattern pattern = Pattern::xx;
  Bytes prologue = {};
  AgreementKey initiator_static = {};
  AgreementKey initiator_ephemeral = {};
  AgreementKey responder_static = {};
  AgreementKey responder_ephemeral = {};
  std::vector<std::pair<Bytes, Bytes>> messages = {};  // payload and what it becomes, in turn
  std::string hash = {};
};

/// Plays a transcript by both ends, byte for byte, and the transport messages behind it.
void expect_transcript(const Transcript& script) {
  ScriptedCrypto initiators{{script.initiator_ephemeral}};
  ScriptedCrypto responders{{script.responder_ephemeral}};
  const AgreementPair initiator_key = initiators.agreement_pair(script.initiator_static);
  const AgreementPair responder_key = responders.agreement_pair(script.responder_static);
  std::optional<AgreementKey> known;
  if (script.pattern == Pattern::ik) known = responder_key.public_key;
  Handshake initiator{{script.pattern, Role::initiator, script.prologue, initiator_key, known},
                      initiators};
  Handshake responder{
      {script.pattern, Role::responder, script.prologue, responder_key, std::nullopt}, responders};

  std::size_t next = 0;
  for (; !initiator.is_complete(); ++next) {
    const auto& [payload, expected] = script.messages.at(next);
    Handshake& writer = next % 2 == 0 ? initiator : responder;
    Handshake& reader = next % 2 == 0 ? responder : initiator;
    Bytes message;
    Bytes received;
    ASSERT_TRUE(writer.write(payload, message));
    EXPECT_EQ(hex(message), hex(expected));
    ASSERT_TRUE(reader.read(message, received));
    EXPECT_EQ(received, payload);
  }
  ASSERT_TRUE(responder.is_complete());
  EXPECT_EQ(hex(initiator.hash()), script.hash);
  EXPECT_EQ(hex(responder.hash()), script.hash);
  EXPECT_EQ(initiator.remote_static(), responder_key.public_key);
  EXPECT_EQ(responder.remote_static(), initiator_key.public_key);

  auto initiator_ciphers = initiator.split();
  auto responder_ciphers = responder.split();
  ASSERT_TRUE(initiator_ciphers && responder_ciphers);
  for (; next < script.messages.size(); ++next) {
    const auto& [payload, expected] = script.messages[next];
    const bool by_initiator = next % 2 == 0;
    Ciphers& writer = by_initiator ? *initiator_ciphers : *responder_ciphers;
    Ciphers& reader = by_initiator ? *responder_ciphers : *initiator_ciphers;
    EXPECT_EQ(hex(sealed(writer.send, payload)), hex(expected));
    EXPECT_EQ(opened(reader.receive, expected), payload);
  }
}

/// Keys and prologue of our own transcripts. Their bytes were made by another implementation, on
/// other primitives (pyca/cryptography), which reproduces cacophony's vectors too.
Transcript golden(Pattern pattern) {
  Transcript script{.pattern = pattern, .prologue = bytes_of("peer-relay golden")};
  script.initiator_static.fill(0x11);
  script.initiator_ephemeral.fill(0x22);
  script.responder_static.fill(0x33);
  script.responder_ephemeral.fill(0x44);
  return script;
}

TEST(Noise, SpeaksTheGoldenXx) {
  Transcript script = golden(Pattern::xx);
  script.messages = {
      {{}, unhex("0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20")},
      {bytes_of("I am the one you dialed"),
       unhex(
           "ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b488bd23f550fbb329ad488"
           "42cd71994f83af27c5121534522309104f9eb63a72dcc06bdf2bc5bf2534e83106cca41cb4fc8a7db66223"
           "6a103161790b58a4f06b73552149bc652bb66a352e6b907b4633fb9459ef79495f")},
      {bytes_of("and I dialed you"),
       unhex(
           "968facae545740c61561f8caf11da458dd868c68db7aa4889aa06917337e5a9dc9dec644a0f8c51c476cf4"
           "de4c33dde61273acccb28dd359fa18d4b1951f1ee55909d940e9638cf910f948295dddd220")},
      {bytes_of("first answer"), unhex("933d5fe7fc5928a12806d03dece6ae2d2c0f5410804c3074c011b7ba")},
      {{}, unhex("b7caa92f48e238d946eb03ab923344be")},
      {bytes_of("third"), unhex("e8ad0edb88481ddff2545dc06f0a76fe586cfe2351")},
  };
  script.hash =
      "437609f99f3219aadf839ec55074dcedc9c58a7b3fd2930ae2990307a6f5e35dfc226c1c1f41cb7b578cca425477"
      "5c"
      "a5e3d32b78ff9a84933032581e42bd1c4f";
  expect_transcript(script);
}

TEST(Noise, SpeaksTheGoldenIk) {
  Transcript script = golden(Pattern::ik);
  script.messages = {
      {bytes_of("early"),
       unhex(
           "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20f31e61f1ad41ce5ef4e146"
           "599ce06ec36a41e3a8a8d892d9990d48ef867722440553ff834ea2f5546266bdd6c545903dc24753c55196"
           "a95b4ef3f4b4f05f11b6ca237b6d0c")},
      {{},
       unhex(
           "ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b878f831f7d958282a71615"
           "01bf0f7d8b")},
      {bytes_of("a"), unhex("1826d2d41ee977790029cd64ef53b18d42")},
      {bytes_of("bc"), unhex("9b90b650dffcbdb50336a408b55200f6a15a")},
      {{}, unhex("389a4dfa4e217d4c2c016b26add320bf")},
      {bytes_of("xyz"), unhex("89a4d930944c4fd48bae85e14e09bd4db34230")},
  };
  script.hash =
      "4c69053eec7fa3c6808437b55b89a7e9dc48fb913d006be12d88e92ebddbf9accf277f555063df0550be771e75bb"
      "14"
      "032a11d9690d8693f8a82df455f94c2337";
  expect_transcript(script);
}

#ifndef PEER_RELAY_SHARED_VECTORS_DIR
#define PEER_RELAY_SHARED_VECTORS_DIR ""
#endif

Transcript transcript_from(const nlohmann::json& vector, Pattern pattern) {
  EXPECT_EQ(vector["init_prologue"], vector["resp_prologue"]);
  Transcript script{
      .pattern = pattern,
      .prologue = unhex(vector["init_prologue"].get<std::string>()),
      .initiator_static = unhex_array(vector["init_static"].get<std::string>()),
      .initiator_ephemeral = unhex_array(vector["init_ephemeral"].get<std::string>()),
      .responder_static = unhex_array(vector["resp_static"].get<std::string>()),
      .responder_ephemeral = unhex_array(vector["resp_ephemeral"].get<std::string>()),
      .messages = {},
      .hash = vector["handshake_hash"],
  };
  for (const auto& message : vector["messages"]) {
    script.messages.emplace_back(unhex(message["payload"].get<std::string>()),
                                 unhex(message["ciphertext"].get<std::string>()));
  }
  return script;
}

TEST(Noise, SpeaksAsCacophonyDoes) {
  std::ifstream file{PEER_RELAY_SHARED_VECTORS_DIR "/noise-cacophony.json"};
  if (!file) GTEST_SKIP() << "The vectors of cacophony are not on this machine.";
  int played = 0;
  const nlohmann::json vectors = nlohmann::json::parse(file);
  for (const auto& vector : vectors["vectors"]) {
    const std::string name = vector["protocol_name"];
    SCOPED_TRACE(name);
    if (name == "Noise_XX_25519_ChaChaPoly_BLAKE2b") {
      expect_transcript(transcript_from(vector, Pattern::xx));
      ++played;
    } else if (name == "Noise_IK_25519_ChaChaPoly_BLAKE2b") {
      expect_transcript(transcript_from(vector, Pattern::ik));
      ++played;
    }
  }
  EXPECT_EQ(played, 2);
}

// ---- Handshakes that go well -----------------------------------------------------------------

TEST_P(Handshakes, LeaveBothWithTheSameHashAndEachWithTheOthersKey) {
  Pair pair{pattern()};
  pair.exchange(messages());
  EXPECT_TRUE(pair.initiator.handshake->is_complete());
  EXPECT_TRUE(pair.responder.handshake->is_complete());
  EXPECT_EQ(pair.initiator.handshake->hash(), pair.responder.handshake->hash());
  EXPECT_EQ(pair.initiator.handshake->remote_static(), pair.responder.own.public_key);
  EXPECT_EQ(pair.responder.handshake->remote_static(), pair.initiator.own.public_key);

  const HashOutput hash = pair.initiator.handshake->hash();
  ASSERT_TRUE(pair.initiator.handshake->split());
  EXPECT_EQ(pair.initiator.handshake->hash(), hash);
  EXPECT_EQ(pair.initiator.handshake->remote_static(), pair.responder.own.public_key);
}

TEST_P(Handshakes, GiveOtherKeysEachTime) {
  Pair one{pattern()};
  Pair two{pattern()};
  AgreementKey drawn;
  two.initiator.crypto.random(drawn);
  one.finish(messages());
  two.finish(messages());
  EXPECT_NE(one.initiator.handshake->hash(), two.initiator.handshake->hash());
  EXPECT_NE(sealed(one.initiator.ciphers->send, {}), sealed(two.initiator.ciphers->send, {}));
}

TEST_P(Handshakes, GiveEachDirectionAKeyOfItsOwn) {
  Pair pair{pattern()};
  pair.finish(messages());
  const Bytes message = sealed(pair.initiator.ciphers->send, as_bytes("hello"));
  EXPECT_FALSE(opened(pair.initiator.ciphers->receive, message));
  EXPECT_FALSE(opened(pair.responder.ciphers->send, sealed(pair.responder.ciphers->send, {})));
  EXPECT_EQ(opened(pair.responder.ciphers->receive, message), bytes_of("hello"));
}

TEST_P(Handshakes, SurviveAMove) {
  Pair pair{pattern()};
  pair.exchange(1);
  Handshake initiator = std::move(*pair.initiator.handshake);
  Handshake responder{std::move(*pair.responder.handshake)};
  pair.initiator.handshake = std::move(initiator);
  pair.responder.handshake = std::move(responder);
  pair.exchange(messages(), {}, 1);
  EXPECT_EQ(pair.initiator.handshake->hash(), pair.responder.handshake->hash());
}

TEST_P(Handshakes, AppendWhatTheyWriteAndReplaceWhatTheyRead) {
  Pair pair{pattern()};
  Bytes message = bytes_of("before");
  ASSERT_TRUE(pair.initiator.handshake->write(as_bytes("payload"), message));
  EXPECT_EQ(as_text(BytesView{message}.first(6)), "before");
  Bytes payload = bytes_of("what was here");
  ASSERT_TRUE(pair.responder.handshake->read(BytesView{message}.subspan(6), payload));
  EXPECT_EQ(payload, bytes_of("payload"));
}

/// How much longer each message is than its payload.
std::vector<std::size_t> overheads(Pattern pattern) {
  if (pattern == Pattern::xx) return {32, 32 + 48 + 16, 48 + 16};
  return {32 + 48 + 16, 32 + 16};
}

TEST_P(Handshakes, CarryPayloadsOfAnySizeThatFits) {
  for (const std::size_t size :
       {0uz, 1uz, 15uz, 16uz, 17uz, 63uz, 64uz, 65uz, 127uz, 128uz, 129uz, 4096uz, 65'439uz}) {
    Pair pair{pattern()};
    pair.exchange(messages(), Bytes(size, 0x5a));
    EXPECT_TRUE(pair.responder.handshake->is_complete()) << size;
  }
}

TEST_P(Handshakes, FillAMessageToTheLastByteAndNotBeyond) {
  const auto overhead = overheads(pattern());
  for (std::size_t at = 0; at < messages(); ++at) {
    Pair pair{pattern()};
    pair.exchange(at);
    Bytes message = bytes_of("before");
    const Bytes payload(message_bytes_max - overhead[at] + 1, 0x5a);
    EXPECT_EQ(pair.writer(at).handshake->write(payload, message),
              Outcome{std::unexpected(NoiseError::too_large)});
    EXPECT_EQ(message, bytes_of("before"));
    message.clear();
    ASSERT_TRUE(
        pair.writer(at).handshake->write(BytesView{payload}.first(payload.size() - 1), message))
        << "a payload too large breaks nothing";
    EXPECT_EQ(message.size(), message_bytes_max);
    Bytes received;
    EXPECT_TRUE(pair.reader(at).handshake->read(message, received));
    EXPECT_EQ(received.size(), payload.size() - 1);
  }
}

// ---- Handshakes that do not ------------------------------------------------------------------

void expect_broken(Handshake& handshake) {
  Bytes bytes;
  EXPECT_TRUE(handshake.is_broken());
  EXPECT_FALSE(handshake.is_complete());
  EXPECT_FALSE(handshake.is_our_turn());
  EXPECT_EQ(handshake.write({}, bytes), Outcome{std::unexpected(NoiseError::broken)});
  EXPECT_EQ(handshake.read(Bytes(200), bytes), Outcome{std::unexpected(NoiseError::broken)});
  EXPECT_EQ(handshake.split().error(), NoiseError::broken);
  EXPECT_EQ(handshake.remote_static(), std::nullopt);
  EXPECT_TRUE(bytes.empty());
}

/// Message `at` of a fresh pair, with all before it delivered.
Bytes message_at(Pair& pair, std::size_t at, std::string_view payload) {
  pair.exchange(at);
  Bytes message;
  EXPECT_TRUE(pair.writer(at).handshake->write(as_bytes(payload), message));
  return message;
}

TEST_P(Handshakes, NoticeEachByteThatWasChanged) {
  for (std::size_t at = 0; at < messages(); ++at) {
    Pair measured{pattern()};
    const std::size_t size = message_at(measured, at, "payload").size();
    for (std::size_t byte = 0; byte < size; ++byte) {
      SCOPED_TRACE(::testing::Message() << "message " << at << ", byte " << byte);
      Pair pair{pattern()};
      Bytes message = message_at(pair, at, "payload");
      message[byte] ^= static_cast<std::uint8_t>(1 << byte % 8);
      Bytes payload = bytes_of("what was here");
      const Outcome outcome = pair.reader(at).handshake->read(message, payload);
      if (pattern() == Pattern::xx && at == 0) {
        // in clear: what answers it no longer fits
        ASSERT_TRUE(outcome);
        Bytes answer;
        ASSERT_TRUE(pair.responder.handshake->write({}, answer));
        EXPECT_EQ(pair.initiator.handshake->read(answer, payload),
                  Outcome{std::unexpected(NoiseError::forged)});
        expect_broken(*pair.initiator.handshake);
      } else {
        EXPECT_EQ(outcome, Outcome{std::unexpected(NoiseError::forged)});
        expect_broken(*pair.reader(at).handshake);
      }
      EXPECT_TRUE(payload.empty());
    }
  }
}

TEST_P(Handshakes, NoticeAMessageThatWasCut) {
  const auto overhead = overheads(pattern());
  for (std::size_t at = 0; at < messages(); ++at) {
    for (std::size_t size = 0; size < overhead[at] + 7; ++size) {
      SCOPED_TRACE(::testing::Message() << "message " << at << ", " << size << " bytes of it");
      Pair pair{pattern()};
      Bytes message = message_at(pair, at, "payload");
      ASSERT_EQ(message.size(), overhead[at] + 7);
      message.resize(size);
      Bytes payload;
      const Outcome outcome = pair.reader(at).handshake->read(message, payload);
      if (pattern() == Pattern::xx && at == 0 && size >= overhead[0]) {
        EXPECT_TRUE(outcome);  // in clear
      } else {
        ASSERT_FALSE(outcome);
        const bool is_whole = size >= overhead[at];
        if (size < 32 || is_whole) {
          EXPECT_EQ(outcome.error(), is_whole ? NoiseError::forged : NoiseError::truncated);
        }
        expect_broken(*pair.reader(at).handshake);
      }
    }
  }
}

TEST_P(Handshakes, RefuseAMessageThatIsTooLarge) {
  for (std::size_t at = 0; at < messages(); ++at) {
    Pair pair{pattern()};
    Bytes message = message_at(pair, at, "");
    message.resize(message_bytes_max + 1);
    Bytes payload;
    EXPECT_EQ(pair.reader(at).handshake->read(message, payload),
              Outcome{std::unexpected(NoiseError::too_large)});
    expect_broken(*pair.reader(at).handshake);
  }
}

TEST_P(Handshakes, FailWhereTheProloguesDiffer) {
  for (const std::string_view other : {"", "Prologue", "prologue and more", "prologu"}) {
    Pair pair{pattern(), "prologue", other};
    const std::size_t first_sealed = pattern() == Pattern::xx ? 1 : 0;
    Bytes message = message_at(pair, first_sealed, "");
    Bytes payload;
    EXPECT_EQ(pair.reader(first_sealed).handshake->read(message, payload),
              Outcome{std::unexpected(NoiseError::forged)});
  }
}

TEST(Noise, IkFailsWithAnotherResponderThanTheOneMeant) {
  Pair pair{Pattern::ik};
  Pair other{Pattern::ik};
  other.responder = Side{3};
  other.responder.handshake.emplace(
      HandshakeOptions{Pattern::ik, Role::responder, as_bytes("prologue"), other.responder.own,
                       std::nullopt},
      other.responder.crypto);
  const Bytes message = message_at(pair, 0, "for your eyes");
  Bytes payload;
  EXPECT_EQ(other.responder.handshake->read(message, payload),
            Outcome{std::unexpected(NoiseError::forged)});
  EXPECT_TRUE(payload.empty());
}

TEST_P(Handshakes, RefuseCallsOutOfTurnAndGoOn) {
  Pair pair{pattern()};
  const Outcome out_of_turn = std::unexpected(NoiseError::out_of_turn);
  for (std::size_t at = 0; at < messages(); ++at) {
    Handshake& writer = *pair.writer(at).handshake;
    Handshake& reader = *pair.reader(at).handshake;
    Bytes bytes;
    EXPECT_TRUE(writer.is_our_turn());
    EXPECT_FALSE(reader.is_our_turn());
    EXPECT_EQ(writer.read(Bytes(200), bytes), out_of_turn);
    EXPECT_EQ(reader.write({}, bytes), out_of_turn);
    EXPECT_EQ(writer.split().error(), NoiseError::out_of_turn);
    EXPECT_EQ(reader.split().error(), NoiseError::out_of_turn);
    Bytes message;
    ASSERT_TRUE(writer.write({}, message));
    EXPECT_EQ(writer.write({}, bytes), out_of_turn);
    ASSERT_TRUE(reader.read(message, bytes));
    bytes = bytes_of("what was here");
    EXPECT_EQ(reader.read(message, bytes), out_of_turn);
    EXPECT_TRUE(bytes.empty());
  }
  for (Side* side : {&pair.initiator, &pair.responder}) {
    Bytes bytes;
    EXPECT_EQ(side->handshake->write({}, bytes), out_of_turn);
    EXPECT_EQ(side->handshake->read(Bytes(200), bytes), out_of_turn);
    EXPECT_TRUE(side->handshake->split());
    EXPECT_EQ(side->handshake->split().error(), NoiseError::out_of_turn);
    EXPECT_EQ(side->handshake->write({}, bytes), out_of_turn);
    EXPECT_EQ(side->handshake->read(Bytes(200), bytes), out_of_turn);
  }
}

TEST_P(Handshakes, TellTheRemoteKeyOnlyOnceItWasShown) {
  Pair pair{pattern()};
  const bool is_ik = pattern() == Pattern::ik;
  EXPECT_EQ(pair.initiator.handshake->remote_static().has_value(), is_ik);
  EXPECT_FALSE(pair.responder.handshake->remote_static());
  pair.exchange(1);
  EXPECT_EQ(pair.responder.handshake->remote_static().has_value(), is_ik);
}

/// The points of small order (u = 0, 1, two of order 8, -1) and what is equal to them modulo p.
const std::vector<AgreementKey>& weak_keys() {
  static const std::vector<AgreementKey> keys{
      unhex_array("0000000000000000000000000000000000000000000000000000000000000000"),
      unhex_array("0100000000000000000000000000000000000000000000000000000000000000"),
      unhex_array("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
      unhex_array("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
      unhex_array("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      unhex_array("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      unhex_array("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
  };
  return keys;
}

TEST(Noise, RefusesAnEphemeralKeyWithWhichAllAgreeOnZeros) {
  for (const AgreementKey& weak : weak_keys()) {
    Pair xx{Pattern::xx};
    Bytes bytes;
    ASSERT_TRUE(xx.responder.handshake->read(weak, bytes));
    Bytes out = bytes_of("before");
    EXPECT_EQ(xx.responder.handshake->write({}, out),
              Outcome{std::unexpected(NoiseError::weak_key)});
    EXPECT_EQ(out, bytes_of("before"));
    expect_broken(*xx.responder.handshake);

    Pair ik{Pattern::ik};
    Bytes message = message_at(ik, 0, "");
    std::ranges::copy(weak, message.begin());
    EXPECT_EQ(ik.responder.handshake->read(message, bytes),
              Outcome{std::unexpected(NoiseError::weak_key)});
    expect_broken(*ik.responder.handshake);
  }
}

TEST(Noise, RefusesToWriteToAWeakKey) {
  DeterministicCrypto crypto{1};
  const AgreementPair own = crypto.agreement_pair({1, 2, 3});
  for (const AgreementKey& weak : weak_keys()) {
    Handshake handshake{{Pattern::ik, Role::initiator, {}, own, weak}, crypto};
    Bytes out;
    EXPECT_EQ(handshake.write({}, out), Outcome{std::unexpected(NoiseError::weak_key)});
    EXPECT_TRUE(out.empty());
    expect_broken(handshake);
  }
}

/// Whether an object has these bytes in it.
template <class Object>
bool holds(const Object& object, const AgreementKey& bytes) {
  const BytesView memory{reinterpret_cast<const std::uint8_t*>(&object), sizeof object};
  return !std::ranges::search(memory, bytes).empty();
}

TEST_P(Handshakes, KeepNoSecretOnceTheyAreSplitOrBroken) {
  for (const bool breaks : {false, true}) {
    Pair pair{pattern()};
    AgreementKey ephemeral;
    DeterministicCrypto{pair.initiator.crypto}.random(ephemeral);
    Handshake& handshake = *pair.initiator.handshake;
    pair.exchange(1);
    EXPECT_TRUE(holds(handshake, ephemeral));
    EXPECT_TRUE(holds(handshake, pair.initiator.own.secret));
    if (breaks) {
      Bytes payload;
      EXPECT_FALSE(handshake.read({}, payload));
    } else {
      pair.exchange(messages(), {}, 1);
      ASSERT_TRUE(handshake.split());
    }
    EXPECT_FALSE(holds(handshake, ephemeral));
    EXPECT_FALSE(holds(handshake, pair.initiator.own.secret));
  }
}

TEST(NoiseDeathTest, NeedsTheResponderKeyForIkAndForNothingElse) {
  DeterministicCrypto crypto{1};
  const AgreementPair own = crypto.agreement_pair({1});
  EXPECT_DEATH((Handshake{{Pattern::ik, Role::initiator, {}, own, std::nullopt}, crypto}),
               "remote_static");
  EXPECT_DEATH((Handshake{{Pattern::xx, Role::initiator, {}, own, own.public_key}, crypto}),
               "remote_static");
  EXPECT_DEATH((Handshake{{Pattern::ik, Role::responder, {}, own, own.public_key}, crypto}),
               "remote_static");
}

// ---- What a handshake leaves -----------------------------------------------------------------

TEST(Cipher, KeepsOrder) {
  const SymmetricKey key{1, 2, 3};
  Cipher sender{Key{key}};
  Cipher receiver{Key{key}};
  const Bytes first = sealed(sender, as_bytes("first"));
  const Bytes second = sealed(sender, as_bytes("second"));
  EXPECT_EQ(opened(receiver, second), std::nullopt);
  EXPECT_EQ(receiver.counter(), 0u);
  EXPECT_EQ(opened(receiver, first), bytes_of("first"));
  EXPECT_EQ(opened(receiver, first), std::nullopt) << "a replay";
  EXPECT_EQ(opened(receiver, second), bytes_of("second"));
  EXPECT_EQ(receiver.counter(), 2u);
  EXPECT_EQ(sender.counter(), 2u);
}

TEST(Cipher, CarriesPayloadsOfAnySizeThatFits) {
  DeterministicCrypto crypto{1};
  const SymmetricKey key{1, 2, 3};
  Cipher sender{Key{key}};
  Cipher receiver{Key{key}};
  const std::size_t most = message_bytes_max - tag_bytes;
  Bytes plain(most);
  crypto.random(plain);
  for (std::size_t size = 0; size <= most; size += size < 300 || size > most - 300 ? 1 : 251) {
    const BytesView part = BytesView{plain}.first(std::min(size, most));
    const auto back = opened(receiver, sealed(sender, part));
    ASSERT_TRUE(back);
    ASSERT_TRUE(std::ranges::equal(*back, part)) << size;
  }
}

TEST(Cipher, RefusesMoreThanAMessageMayHold) {
  DeterministicCrypto crypto{1};
  Cipher cipher{Key{{1}}};
  Bytes bytes(message_bytes_max + 1);
  EXPECT_EQ(
      cipher.seal({}, BytesView{bytes}.first(message_bytes_max - tag_bytes + 1), bytes, crypto)
          .error(),
      NoiseError::too_large);
  EXPECT_EQ(cipher.open({}, bytes, bytes, crypto).error(), NoiseError::too_large);
  EXPECT_EQ(cipher.counter(), 0u);
}

TEST(Cipher, RefusesLessThanATag) {
  DeterministicCrypto crypto{1};
  Cipher cipher{Key{{1}}};
  Bytes bytes(tag_bytes - 1);
  for (std::size_t size = 0; size < tag_bytes; ++size) {
    EXPECT_EQ(cipher.open({}, BytesView{bytes}.first(size), bytes, crypto).error(),
              NoiseError::truncated);
  }
}

TEST(Cipher, NoticesEachBitThatWasChanged) {
  const SymmetricKey key{1, 2, 3};
  Cipher sender{Key{key}};
  Cipher receiver{Key{key}};
  const Bytes message = sealed(sender, as_bytes("hello"), as_bytes("header"));
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    Bytes changed = message;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_EQ(opened(receiver, changed, as_bytes("header")), std::nullopt);
  }
  EXPECT_EQ(opened(receiver, message, as_bytes("heade")), std::nullopt);
  EXPECT_EQ(opened(receiver, message), std::nullopt);
  EXPECT_EQ(opened(receiver, message, as_bytes("header")), bytes_of("hello"));
}

TEST(Cipher, SealsInPlaceAsItDoesElsewhere) {
  DeterministicCrypto crypto{1};
  const SymmetricKey key{1, 2, 3};
  Cipher in_place{Key{key}};
  Cipher elsewhere{Key{key}};
  Bytes buffer = bytes_of("the plain text and room behind it");
  const std::size_t size = buffer.size();
  const Bytes expected = sealed(elsewhere, buffer);
  buffer.resize(size + tag_bytes + 10, 0xee);
  const auto written = in_place.seal({}, BytesView{buffer}.first(size), buffer, crypto);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->data(), buffer.data());
  EXPECT_TRUE(std::ranges::equal(*written, expected));
  EXPECT_EQ(buffer.back(), 0xee) << "what lies behind is left alone";
}

TEST(Cipher, UsesTheLastCounterButTheReservedOneNever) {
  DeterministicCrypto crypto{1};
  const SymmetricKey key{1, 2, 3};
  Cipher sender{Key{key}, counter_reserved - 1};
  Cipher receiver{Key{key}, counter_reserved - 1};
  const Bytes last = sealed(sender, as_bytes("last"));
  EXPECT_EQ(opened(receiver, last), bytes_of("last"));
  Bytes bytes(tag_bytes);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(sender.seal({}, {}, bytes, crypto).error(), NoiseError::counter_spent);
    EXPECT_EQ(receiver.open({}, bytes, bytes, crypto).error(), NoiseError::counter_spent);
  }
}

TEST(Key, OpensInAnyOrder) {
  DeterministicCrypto crypto{1};
  Pair pair{Pattern::ik};
  pair.finish(2);
  const Key send = std::move(pair.initiator.ciphers->send).take_key();
  const Key receive = std::move(pair.responder.ciphers->receive).take_key();
  std::vector<Bytes> messages;
  for (std::uint64_t counter = 0; counter < 8; ++counter) {
    Bytes& message = messages.emplace_back(1 + tag_bytes, static_cast<std::uint8_t>(counter));
    ASSERT_TRUE(send.seal(counter << 40, {}, BytesView{message}.first(1), message, crypto));
  }
  for (const std::uint64_t counter : {7u, 0u, 3u, 3u, 1u, 6u, 2u, 5u, 4u}) {
    Bytes message = messages[counter];
    EXPECT_EQ(receive.open((counter + 1) << 40, {}, message, message, crypto).error(),
              NoiseError::forged);
    message = messages[counter];
    const auto plain = receive.open(counter << 40, {}, message, message, crypto);
    ASSERT_TRUE(plain);
    EXPECT_EQ((*plain)[0], counter);
  }
}

TEST(Key, NeverUsesTheReservedCounter) {
  DeterministicCrypto crypto{1};
  const Key key{{1}};
  Bytes bytes(tag_bytes);
  EXPECT_EQ(key.seal(counter_reserved, {}, {}, bytes, crypto).error(), NoiseError::counter_spent);
  EXPECT_EQ(key.open(counter_reserved, {}, bytes, bytes, crypto).error(),
            NoiseError::counter_spent);
  EXPECT_TRUE(key.seal(counter_reserved - 1, {}, {}, bytes, crypto));
}

TEST(KeyDeathTest, IsOfNoUseOnceMovedFrom) {
  DeterministicCrypto crypto{1};
  Key key{{1}};
  const Key taken = std::move(key);
  Bytes bytes(tag_bytes);
  // NOLINTNEXTLINE(bugprone-use-after-move): what it is about
  EXPECT_DEATH(std::ignore = key.seal(0, {}, {}, bytes, crypto), "is_empty");
}

TEST(Secret, IsOverwrittenWhenItGoesAndWhereItWasMovedFrom) {
  const std::array<std::uint8_t, 4> bytes{1, 2, 3, 4};
  const std::array<std::uint8_t, 4> zeros{};
  Secret<4> secret{bytes};
  Secret<4> moved = std::move(secret);
  EXPECT_EQ(*secret, zeros);  // NOLINT(bugprone-use-after-move): what it is about
  EXPECT_EQ(*moved, bytes);
  secret = std::move(moved);
  EXPECT_EQ(*secret, bytes);
  EXPECT_EQ(*moved, zeros);  // NOLINT(bugprone-use-after-move)

  alignas(Secret<4>) std::array<std::uint8_t, sizeof(Secret<4>)> memory;
  auto* gone = new (memory.data()) Secret<4>{bytes};
  const std::ptrdiff_t at = (**gone).data() - memory.data();
  gone->~Secret();
  EXPECT_TRUE(std::ranges::all_of(std::span{memory}.subspan(static_cast<std::size_t>(at), 4),
                                  [](std::uint8_t byte) { return byte == 0; }));
}

}  // namespace
}  // namespace peer_relay::noise
