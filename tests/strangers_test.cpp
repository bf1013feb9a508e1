// SPDX-License-Identifier: MIT
//
// Strangers' bytes at every stage of a real port. While they come two friends talk over the node;
// at the end of each test all that they said has arrived, the node links and relays as before, its
// memory is bounded, and what was wrong was counted under its name.
#include <atomic>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/random.hpp"
#include "support/hand_peer.hpp"
#include "support/test_node.hpp"

namespace peer_relay {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::HandPeer;
using testing::Stranger;
using testing::TestNode;
using testing::upgrade_request;

/// What a test may add to the process: the freed memory that ASan keeps for a while, and ourselves.
constexpr std::size_t growth_max = std::size_t{400} << 20;

std::size_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::size_t pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * 4096;
}

NodeOptions victim_options() {
  NodeOptions options;
  options.port = 0;
  options.host = "127.0.0.1";
  options.handshake_timeout = 2s;
  return options;
}

NodeOptions friend_options(const std::string& url) {
  NodeOptions options;
  options.bootstrap = {url};
  options.webrtc.enabled = false;
  return options;
}

/// Two that can reach each other over the node only, and never stop talking.
class Friends {
 public:
  explicit Friends(const std::string& url)
      : alice_(friend_options(url)), bob_(friend_options(url)) {
    EXPECT_TRUE(alice_.until_joined());
    EXPECT_TRUE(bob_.until_joined());
    EXPECT_TRUE(alice_.send_and_wait(bob_.id(), Payload::of_text("hello")).delivered());
    thread_ = std::jthread{[this](const std::stop_token& stop) {
      while (!stop.stop_requested()) say_something();
    }};
  }

  /// Waits until they have said something more since, and stops them.
  void finish() {
    const int so_far = said_;
    EXPECT_TRUE(eventually([&] { return said_ > so_far + 1; }));
    thread_.request_stop();
    thread_.join();
    EXPECT_EQ(lost_, 0);
  }

  const NodeId& bob() const { return bob_id_; }

 private:
  void say_something() {
    const SendResult result = alice_.send_and_wait(bob_.id(), Payload::of_text("and then"));
    EXPECT_TRUE(result.delivered()) << name_of(result.outcome) << " " << name_of(result.reason);
    if (!result.delivered()) ++lost_;
    ++said_;
    testing::Board pause;
    static_cast<void>(pause.until([] { return false; }, 2ms));
  }

  TestNode alice_;
  TestNode bob_;
  NodeId bob_id_ = bob_.id();
  std::atomic<int> said_ = 0;
  std::atomic<int> lost_ = 0;
  std::jthread thread_;
};

class Strangers : public ::testing::Test {
 protected:
  Strangers() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
    ::setrlimit(RLIMIT_NOFILE, &files);
    before = node->stats();
  }

  ~Strangers() override {
    friends.finish();
    TestNode newcomer{friend_options(node->url())};
    EXPECT_TRUE(newcomer.until_joined()) << "the door is shut";
    EXPECT_TRUE(newcomer.send_and_wait(node.id(), Payload::of_text("still there?")).delivered());
    EXPECT_LT(resident_bytes(), resident_before + growth_max);
  }

  std::uint16_t port() { return node->port(); }

  std::uint64_t closed(CloseReason reason) {
    const auto i = static_cast<std::size_t>(reason);
    return node->stats().closed[i] - before.closed[i];
  }
  /// Whatever the reason was.
  std::uint64_t closed() {
    const Stats now = node->stats();
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < std::size(now.closed); ++i) sum += now.closed[i] - before.closed[i];
    return sum;
  }
  std::uint64_t dropped(DropReason reason) {
    return node->stats().dropped_for(reason) - before.dropped_for(reason);
  }
  /// All that is not zero, for tests that fail.
  std::string counters() {
    const Stats now = node->stats();
    std::string out = "\ncounted since:";
    const auto add = [&out](std::string_view what, std::string_view name, std::uint64_t count) {
      if (count > 0)
        out.append("\n  ").append(what).append(name).append(" ").append(std::to_string(count));
    };
    for (std::size_t i = 0; i < std::size(now.closed); ++i) {
      add("closed ", name_of(CloseReason{static_cast<std::uint8_t>(i)}),
          now.closed[i] - before.closed[i]);
    }
    for (std::size_t i = 0; i < std::size(now.dropped); ++i) {
      add("dropped ", name_of(DropReason{static_cast<std::uint8_t>(i)}),
          now.dropped[i] - before.dropped[i]);
    }
    add("contacts", "", now.contacts);
    add("sessions", "", now.sessions);
    add("refused connections", "", now.refused_connections);
    return out;
  }
  bool until_closed(CloseReason reason, std::uint64_t times = 1) {
    return eventually([&] { return closed(reason) >= times; });
  }
  bool until_dropped(DropReason reason, std::uint64_t times = 1) {
    return eventually([&] { return dropped(reason) >= times; });
  }

  std::string random_bytes(std::size_t most) {
    std::string out(random.below(most + 1), '\0');
    for (char& byte : out) byte = static_cast<char>(random.next());
    return out;
  }
  /// A few bytes altered, or the end cut off, or something added.
  std::string mutated(std::string bytes) {
    const std::uint64_t changes = 1 + random.below(4);
    for (std::uint64_t i = 0; i < changes && !bytes.empty(); ++i) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    if (random.below(4) == 0) bytes.resize(random.below(bytes.size() + 1));
    if (random.below(4) == 0) bytes += random_bytes(64);
    return bytes;
  }
  Bytes mutated(const Bytes& bytes) {
    const std::string out = mutated(std::string(as_text(bytes)));
    return {out.begin(), out.end()};
  }

  static constexpr std::uint64_t seed = 20240501;
  Random random{seed};
  std::size_t resident_before = resident_bytes();
  TestNode node{victim_options()};
  Friends friends{node->url()};
  Stats before;
};

// ---- Before the upgrade ---------------------------------------------------------------------

TEST_F(Strangers, SendAnythingInsteadOfARequest) {
  constexpr std::uint64_t count = 300;
  for (std::uint64_t i = 0; i < count; ++i) {
    Stranger stranger{port()};
    stranger.say(i % 2 == 0 ? random_bytes(2000) : mutated(std::string(upgrade_request)));
    if (i % 3 == 0) stranger.reset();
  }
  EXPECT_TRUE(eventually([&] { return closed() == count; })) << counters();
  EXPECT_GT(closed(CloseReason::protocol_error), count / 4);
}

TEST_F(Strangers, SendARequestWithoutEnd) {
  Stranger stranger{port()};
  std::string_view line = "GET / HTTP/1.1\r\n";
  const std::string header = "X-Filler: " + std::string(1000, 'x') + "\r\n";
  int taken = 0;
  stranger.say(line);
  while (taken < 10'000 && stranger.say(header) && !stranger.is_hung_up()) ++taken;
  EXPECT_LT(taken, 10'000);
  EXPECT_TRUE(until_closed(CloseReason::protocol_error)) << counters();
}

TEST_F(Strangers, ComeInThousands) {
  std::vector<Stranger> strangers;
  for (int i = 0; i < 1000; ++i) {
    strangers.emplace_back(port(), ("127.0.1." + std::to_string(1 + i % 16)).c_str());
  }
  // 64 of each host at most, and 512 of all.
  EXPECT_TRUE(eventually([&] { return node->stats().refused_connections >= 1000 - 512; }));
  EXPECT_TRUE(until_closed(CloseReason::handshake_timeout, 512)) << counters();
  EXPECT_TRUE(eventually([&] {
    return closed(CloseReason::handshake_timeout) + node->stats().refused_connections == 1000;
  })) << counters();
}

TEST_F(Strangers, AreSlow) {
  std::vector<Stranger> strangers;
  for (int i = 0; i < 30; ++i) strangers.emplace_back(port());
  // A byte now and then keeps nobody's place: the deadline is for the whole.
  std::size_t at = 0;
  EXPECT_TRUE(eventually([&] {
    if (at < upgrade_request.size() / 2) {
      for (Stranger& stranger : strangers) stranger.say(upgrade_request.substr(at, 1));
      ++at;
    }
    return closed(CloseReason::handshake_timeout) == 30;
  }));
}

// ---- WebSocket ------------------------------------------------------------------------------

TEST_F(Strangers, SendAnythingInsteadOfFrames) {
  constexpr std::uint64_t count = 200;
  for (std::uint64_t i = 0; i < count; ++i) {
    HandPeer peer{port()};
    peer.upgrade();
    const std::string frame = testing::client_frame(0x82, as_text(peer.hello()));
    peer.stranger().say(i % 2 == 0 ? random_bytes(500) : mutated(frame));
    if (i % 3 == 0) peer.stranger().reset();
  }
  EXPECT_TRUE(eventually([&] { return closed() == count; })) << counters();
}

TEST_F(Strangers, AnnounceHugeMessages) {
  using namespace std::string_literals;
  for (const std::string& frame : {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask"s,
                                   "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00mask"s,
                                   "\x02\xff\x00\x00\x00\x00\x40\x00\x00\x00mask"s}) {
    HandPeer peer{port()};
    peer.upgrade();
    peer.stranger().say(frame);
    EXPECT_TRUE(peer.is_closed_soon());
  }
  EXPECT_TRUE(until_closed(CloseReason::protocol_error, 3)) << counters();
}

TEST_F(Strangers, AreSilentAfterTheUpgrade) {
  std::vector<std::unique_ptr<HandPeer>> peers;
  for (int i = 0; i < 20; ++i) {
    peers.push_back(std::make_unique<HandPeer>(port()));
    peers.back()->upgrade();
    if (i % 2 == 0) peers.back()->send(peers.back()->hello());
  }
  EXPECT_TRUE(until_closed(CloseReason::handshake_timeout, 20)) << counters();
}

// ---- The link's handshake -------------------------------------------------------------------

TEST_F(Strangers, SendAnythingInsteadOfAHello) {
  constexpr std::uint64_t count = 150;
  for (std::uint64_t i = 0; i < count; ++i) {
    HandPeer peer{port()};
    peer.upgrade();
    const std::string junk = random_bytes(300);
    peer.send(i % 2 == 0 ? mutated(peer.hello()) : Bytes(junk.begin(), junk.end()));
  }
  EXPECT_TRUE(eventually([&] { return closed() == count; })) << counters();
  EXPECT_GT(closed(CloseReason::protocol_error), 0u);
  EXPECT_GT(dropped(DropReason::malformed), 0u);
}

TEST_F(Strangers, SendAnythingInsteadOfAFinish) {
  constexpr std::uint64_t count = 60;
  for (std::uint64_t i = 0; i < count; ++i) {
    HandPeer peer{port()};
    peer.upgrade();
    peer.send(peer.hello());
    const auto answer = peer.receive();
    ASSERT_TRUE(answer);
    Bytes finish = peer.finish(*answer);
    finish[random.below(finish.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
    peer.send(finish);
    EXPECT_TRUE(peer.is_closed_soon());
  }
  EXPECT_TRUE(until_closed(CloseReason::handshake_failed, count)) << counters();
  EXPECT_EQ(dropped(DropReason::handshake_failed), count);
}

TEST_F(Strangers, BelongToAnotherNetwork) {
  HandPeer peer{port(), "elsewhere"};
  peer.upgrade();
  peer.send(peer.hello());
  const auto answer = peer.receive();
  ASSERT_TRUE(answer);
  const auto refused = decode_refused(*answer);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, CloseReason::wrong_network);
  EXPECT_EQ(refused->network, "peer-relay");
  EXPECT_TRUE(until_closed(CloseReason::wrong_network)) << counters();
}

TEST_F(Strangers, SpeakALaterVersion) {
  HandPeer peer{port()};
  peer.upgrade();
  Bytes hello = peer.hello();
  hello[link_magic.size()] = protocol_version + 1;
  peer.send(hello);
  const auto answer = peer.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(decode_refused(*answer)->reason, CloseReason::wrong_version);
  EXPECT_TRUE(until_closed(CloseReason::wrong_version)) << counters();
}

TEST_F(Strangers, ReplayAHandshake) {
  Bytes hello, finish;
  {
    HandPeer peer{port()};
    peer.upgrade();
    peer.send(hello = peer.hello());
    const auto answer = peer.receive();
    ASSERT_TRUE(answer);
    peer.send(finish = peer.finish(*answer));
  }
  HandPeer thief{port()};
  thief.upgrade();
  thief.send(hello);
  ASSERT_TRUE(thief.receive());
  thief.send(finish);
  EXPECT_TRUE(thief.is_closed_soon());
  EXPECT_TRUE(until_closed(CloseReason::handshake_failed)) << counters();
}

// ---- Sealed batches -------------------------------------------------------------------------

TEST_F(Strangers, SendGarbageAfterAGoodHandshake) {
  for (int i = 0; i < 20; ++i) {
    HandPeer peer{port()};
    peer.link();
    const std::string junk = random_bytes(2000);
    peer.send(Bytes(junk.begin(), junk.end()));
    EXPECT_TRUE(peer.is_closed_soon());
  }
  EXPECT_TRUE(until_dropped(DropReason::seal_broken, 20)) << counters();
  EXPECT_TRUE(until_closed(CloseReason::protocol_error, 20)) << counters();
}

TEST_F(Strangers, RepeatABatch) {
  HandPeer peer{port()};
  peer.link();
  Bytes batch;
  append_ping(FrameKind::ping, 1, batch);
  batch = peer.seal(std::move(batch));
  peer.send(batch);
  peer.send(batch);
  EXPECT_TRUE(peer.is_closed_soon());
  EXPECT_TRUE(until_dropped(DropReason::seal_broken)) << counters();
}

TEST_F(Strangers, SealGarbageWell) {
  constexpr int count = 60;
  for (int i = 0; i < count; ++i) {
    HandPeer peer{port()};
    peer.link();
    for (int batch = 0; batch < 20; ++batch) {
      const std::string junk = random_bytes(600);
      peer.send_batch(Bytes(junk.begin(), junk.end()));
    }
    EXPECT_TRUE(peer.is_closed_soon());
  }
  EXPECT_TRUE(until_closed(CloseReason::protocol_error, count)) << counters();
  EXPECT_EQ(dropped(DropReason::malformed), static_cast<std::uint64_t>(count)) << counters();
}

TEST_F(Strangers, SendFramesOfEveryKindWithAnythingInThem) {
  HandPeer peer{port()};
  peer.link();
  for (int i = 0; i < 3000; ++i) {
    FrameKind kind{static_cast<std::uint8_t>(random.below(20))};
    if (kind == FrameKind::goodbye) kind = FrameKind::ping;
    const std::string junk = random_bytes(200);
    peer.send_frame(kind, as_bytes(junk));
  }
  EXPECT_TRUE(until_dropped(DropReason::malformed, 100)) << counters();
  EXPECT_TRUE(until_dropped(DropReason::unknown_frame, 100)) << counters();
}

TEST_F(Strangers, LieAboutTheLengthOfAFrame) {
  HandPeer peer{port()};
  peer.link();
  peer.send_batch({static_cast<std::uint8_t>(FrameKind::ping), 0xff, 0xff, 1, 2, 3});
  EXPECT_TRUE(peer.is_closed_soon());
  EXPECT_TRUE(until_closed(CloseReason::protocol_error)) << counters();
  EXPECT_TRUE(until_dropped(DropReason::malformed)) << counters();
}

TEST_F(Strangers, SayGoodbyeAndDoNotGo) {
  HandPeer peer{port()};
  peer.link();
  Bytes batch;
  append_goodbye(CloseReason::shutdown, batch);
  peer.send_batch(std::move(batch));
  EXPECT_TRUE(peer.is_closed_soon());
  EXPECT_TRUE(until_closed(CloseReason::shutdown)) << counters();
}

// ---- Envelopes ------------------------------------------------------------------------------

TEST_F(Strangers, MutateEnvelopes) {
  HandPeer peer{port()};
  peer.link();
  for (int i = 0; i < 2000; ++i) {
    const std::string junk = random_bytes(150);
    Bytes batch;
    append_route_frame({.kind = EnvelopeKind{static_cast<std::uint8_t>(random.below(24))},
                        .closest = random.below(2) == 0,
                        .tag = static_cast<std::uint32_t>(random.next()),
                        .target = random.below(2) == 0 ? node.id() : random.id(),
                        .source = peer.id(),
                        .body = as_bytes(junk)},
                       batch);
    const std::size_t body_at = frame_header_bytes;
    if (i % 3 == 0) batch[body_at + random.below(47)] = static_cast<std::uint8_t>(random.next());
    peer.send_batch(std::move(batch));
  }
  EXPECT_TRUE(until_dropped(DropReason::malformed, 100)) << counters();
  EXPECT_TRUE(until_dropped(DropReason::unknown_frame, 10)) << counters();
}

TEST_F(Strangers, ForgeSources) {
  HandPeer peer{port()};
  peer.link();
  // The node itself.
  peer.send_envelope(
      {.kind = EnvelopeKind::session_open, .target = node.id(), .source = node.id()});
  EXPECT_TRUE(until_dropped(DropReason::forged_source)) << counters();

  // A friend: the session's handshake shows that it is not he.
  HandPeer::Session session = peer.open_session(node.id());
  const Bytes data = peer.session_data(session, 0, "in my own name");
  peer.send_envelope({.kind = EnvelopeKind::session_data,
                      .target = node.id(),
                      .source = friends.bob(),
                      .body = data});
  EXPECT_TRUE(until_dropped(DropReason::forged_source, 2)) << counters();
  Bytes open = session.open_body;
  open[6] ^= 1;  // a new first message, in his name
  peer.send_envelope({.kind = EnvelopeKind::session_open,
                      .target = node.id(),
                      .source = friends.bob(),
                      .body = open});
  peer.send_envelope(node.id(), EnvelopeKind::session_data, data);
  ASSERT_TRUE(node.until([&] { return node.messages.size() == 1; }));
  EXPECT_EQ(node.messages[0].from, peer.id());
}

TEST_F(Strangers, ReplayAndReorderEnvelopes) {
  HandPeer peer{port()};
  peer.link();
  const HandPeer::Session session = peer.open_session(node.id());
  const auto send = [&](std::uint64_t counter, std::string_view text) {
    peer.send_envelope(node.id(), EnvelopeKind::session_data,
                       peer.session_data(session, counter, text));
  };
  // In any order, each once.
  for (const std::uint64_t counter : {5u, 3u, 4u, 0u, 2u, 1u})
    send(counter, std::to_string(counter));
  ASSERT_TRUE(node.until([&] { return node.messages.size() == 6; }));
  for (const std::uint64_t counter : {0u, 1u, 2u, 3u, 4u, 5u}) send(counter, "again");
  EXPECT_TRUE(until_dropped(DropReason::replayed, 6)) << counters();
  send(10'000, "far ahead");
  send(10'000 - limits::replay_window, "out of the window, new or not");
  send(9'999, "in it");
  EXPECT_TRUE(until_dropped(DropReason::replayed, 7)) << counters();
  ASSERT_TRUE(node.until([&] { return node.messages.size() == 8; }));

  // Its first and third message again, an unknown session, a broken seal.
  peer.send_envelope(node.id(), EnvelopeKind::session_finish, session.finish_body);
  EXPECT_TRUE(until_dropped(DropReason::replayed, 8)) << counters();
  peer.send_envelope(node.id(), EnvelopeKind::session_open, session.open_body);
  Bytes data = peer.session_data(session, 10'001, "altered on the way");
  data.back() ^= 1;
  peer.send_envelope(node.id(), EnvelopeKind::session_data, data);
  EXPECT_TRUE(until_dropped(DropReason::seal_broken)) << counters();
  data[0] ^= 0x80;
  peer.send_envelope(node.id(), EnvelopeKind::session_data, data);
  EXPECT_TRUE(until_dropped(DropReason::no_session)) << counters();
  EXPECT_EQ(node->stats().messages_received - before.messages_received, 8u);
}

TEST_F(Strangers, FloodWithSessionHandshakes) {
  HandPeer peer{port()};
  peer.link();
  for (int i = 0; i < 8000; ++i) {
    Bytes body;
    Bytes key(32);
    for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(random.next());
    encode_session_open({.pattern = SessionPattern::xx,
                         .index = static_cast<std::uint32_t>(random.next()),
                         .noise = key},
                        body);
    peer.send_envelope({.kind = EnvelopeKind::session_open,
                        .target = node.id(),
                        .source = random.id(),
                        .body = body});
  }
  EXPECT_TRUE(until_dropped(DropReason::session_limit, 100)) << counters();
  EXPECT_LT(node->stats().sessions, 64u);
}

TEST_F(Strangers, AskForEveryIdThereIs) {
  HandPeer peer{port()};
  peer.link();
  for (int i = 0; i < 3000; ++i) {
    peer.send_envelope(random.id(), EnvelopeKind::session_data, as_bytes("nobody is there"));
  }
  EXPECT_TRUE(until_dropped(DropReason::dead_end, 3000)) << counters();
}

// ---- Contacts -------------------------------------------------------------------------------

TEST_F(Strangers, ForgeContacts) {
  HandPeer peer{port()};
  peer.link();
  const auto tell = [&](const Bytes& record) {
    Bytes body;
    encode_neighbour_contacts({.purpose = ContactsPurpose::neighbours, .contacts = {record}}, body);
    peer.send_frame(FrameKind::contacts, body);
  };
  const std::size_t known = node->stats().contacts;
  Bytes forged = peer.contact(3600);
  forged[70] ^= 1;
  tell(forged);
  EXPECT_TRUE(until_dropped(DropReason::contact_forged, 1)) << counters();
  Bytes in_another_name = peer.contact(3600);
  in_another_name[5] ^= 1;
  tell(in_another_name);
  EXPECT_TRUE(until_dropped(DropReason::contact_forged, 2)) << counters();
  tell(peer.contact(0));
  tell(peer.contact(400 * 24 * 3600));
  EXPECT_TRUE(until_dropped(DropReason::contact_expired, 2)) << counters();
  tell(Bytes(100, 1));
  EXPECT_TRUE(until_dropped(DropReason::malformed, 1)) << counters();
  EXPECT_EQ(node->stats().contacts, known);
}

TEST_F(Strangers, InventContacts) {
  HandPeer peer{port()};
  peer.link();
  // Each with a good signature: they cost their inventor a key, and us no more than our table.
  for (int i = 0; i < 60; ++i) {
    ContactViews views;
    std::vector<Bytes> records;
    for (int n = 0; n < 8; ++n) {
      records.push_back(peer.contact_of(make_identity(peer.crypto()), 3600));
    }
    for (const Bytes& record : records) views.push_back(record);
    Bytes body;
    encode_neighbour_contacts({.purpose = ContactsPurpose::neighbours, .contacts = views}, body);
    peer.send_frame(FrameKind::contacts, body);
  }
  EXPECT_TRUE(eventually([&] { return node->stats().frames_in >= before.frames_in + 60; }));
  EXPECT_LT(node->stats().contacts, 200u) << counters();
}

}  // namespace
}  // namespace peer_relay
