// SPDX-License-Identifier: MIT
//
// Many engines, one clock, one seed: a host like the Asio runtime, only that time passes when
// run_for() says so and links are entries in a queue. Links fail here as they fail outside: they
// die, stall, go dark while open; nodes are killed, and lie.
//
// The same seed and the same calls give the same run, event by event, with any number of threads:
// what a node does depends on nothing but what has happened to it, in the order of time, and where
// that is equal, of who caused it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "core/engine/engine.hpp"
#include "crew.hpp"
#include "entropy.hpp"
#include "modelled_crypto.hpp"
#include "sodium/sodium_crypto.hpp"

namespace peer_relay::sim {

/// libsodium, but for entropy, which comes from the seed.
class SeededCrypto final : public SodiumCrypto {
 public:
  /// `entropy` outlives it.
  explicit SeededCrypto(Entropy& entropy) : entropy_(entropy) {}
  void random(MutableBytes out) override { entropy_.fill(out); }

 private:
  Entropy& entropy_;
};

/// A node of the world, by its number from 0.
using NodeNumber = std::size_t;

struct NodeSpec {
  std::vector<NodeNumber> bootstrap{};
  bool listens = true;
  std::string network = "peer-relay";
  std::vector<Bytes> cached_contacts{};
  std::optional<SigningSeed> identity{};
  Limits limits{};
  Liar liar{};
  bool legacy = false;  ///< carries messages of npm peer-relay 0.0.2
  bool webrtc = false;  ///< makes data channels
};

/// What an application was told of one stream.
struct StreamPage {
  NodeId peer{};      ///< of one that another node has opened
  std::string label;  ///< the same
  bool is_ours = true;
  bool is_accepted = false;
  Bytes bytes;
  std::size_t unread_bytes = 0;  ///< of them, while reading is stopped
  bool has_finished = false;
  bool is_writable = false;  ///< was told so, since the last write that was refused
  std::optional<StreamEnd> end{};
  std::uint32_t code = 0;
};

/// Hears what applications hear, in place of the inboxes: for worlds too large to keep it all. It
/// is told in the caller's thread, of each node in the order of time.
class Audience {
 public:
  virtual ~Audience() = default;
  virtual void message(NodeNumber at, const Message& message) = 0;
  virtual void sent(NodeNumber from, MessageId message, const SendResult& result) = 0;
};

/// Which crypto port a world's engines have: libsodium with seeded entropy, or the model of it.
enum class CryptoFlavour : std::uint8_t { sodium, modelled };

/// Called from one thread. With several of its own it divides the nodes among them while time
/// passes, and wants latencies of least_latency and more; lies and tampering then happen in any of
/// them.
class World {
 public:
  explicit World(std::uint64_t seed, CryptoFlavour flavour = CryptoFlavour::sodium,
                 std::size_t threads = 1);
  /// With ports of one's own, one for each thread.
  using MakeCrypto = std::unique_ptr<Crypto> (*)(Entropy& entropy);
  World(std::uint64_t seed, MakeCrypto make_crypto, std::size_t threads = 1);
  ~World();

  // ---- Nodes --------------------------------------------------------------------------------

  NodeNumber add(const NodeSpec& spec = {});
  /// A network of so many, each bootstrapped off one random earlier one, and settled.
  void grow(std::size_t count, Duration settle_for);
  /// As SIGKILL: the machine closes the connections, nobody says goodbye.
  void kill(NodeNumber node);
  /// As a power cut: nobody hears anything of it, ever.
  void unplug(NodeNumber node);
  /// Back with the same identity and address; a killed one only.
  void restart(NodeNumber node, const NodeSpec& spec);
  void shut_down(NodeNumber node);

  std::size_t size() const { return nodes_.size(); }
  bool is_alive(NodeNumber node) const;
  Engine& engine(NodeNumber node);
  const NodeId& id(NodeNumber node) const;
  const Identity& identity(NodeNumber node) const;
  std::string url(NodeNumber node) const;

  // ---- What applications do and see ---------------------------------------------------------

  void send(NodeNumber from, const NodeId& to, std::string_view text);
  MessageId send_acknowledged(NodeNumber from, const NodeId& to, std::string_view text,
                              AcknowledgedSend how = {});
  void connect(NodeNumber from, const NodeId& to);
  std::uint64_t trace(NodeNumber from, const NodeId& to);

  StreamId open_stream(NodeNumber from, const NodeId& to, StreamOptions how = {});
  /// False where the engine does not take it now.
  bool write(NodeNumber node, StreamId stream, Bytes bytes);
  void finish(NodeNumber node, StreamId stream);
  void reset(NodeNumber node, StreamId stream, std::uint32_t code);
  /// Whether what comes is read at once. When it is again, all that came meanwhile is.
  void set_reading(NodeNumber node, StreamId stream, bool reads);
  const std::map<StreamId, StreamPage>& streams(NodeNumber node) const;

  const std::vector<Message>& inbox(NodeNumber node) const;
  std::vector<std::string> texts(NodeNumber node) const;
  void clear_inboxes();
  std::optional<SendResult> result(NodeNumber node, MessageId message) const;
  std::optional<NotifyWish::ConnectDone> connected(NodeNumber node) const;
  const std::vector<TraceHop>& hops(NodeNumber node) const;
  const std::vector<NotifyWish::PeerLost>& lost(NodeNumber node) const;
  const std::vector<Problem>& problems(NodeNumber node) const;
  Stats total() const;

  // ---- Links --------------------------------------------------------------------------------

  bool are_linked(NodeNumber a, NodeNumber b) const;
  /// Links over data channels, made so far.
  std::uint64_t data_channels() const;
  /// How many channels one node has to another, whatever it thinks of them.
  std::size_t channels(NodeNumber a, NodeNumber b) const;
  /// Still open, yet nothing arrives any more: how real links die.
  void go_dark(NodeNumber a, NodeNumber b);
  /// Nothing moves, in either direction, until resume(); then all of it does.
  void stall(NodeNumber a, NodeNumber b);
  void resume(NodeNumber a, NodeNumber b);
  void cut(NodeNumber a, NodeNumber b);
  /// Dials between the two fail from now on, both ways.
  void forbid(NodeNumber a, NodeNumber b);
  void permit(NodeNumber a, NodeNumber b);
  /// Whoever dials that node waits for nothing.
  void make_silent(NodeNumber node);

  using Tamper = std::function<void(Bytes& message)>;
  /// Does as it likes with each message on its way from that node.
  void tamper(NodeNumber node, Tamper tamper);

  /// A channel to a node, without an engine at this end; for strangers.
  struct Stranger {
    std::deque<Bytes> received;
    std::optional<CloseReason> closed;
    LinkId link{};
    NodeNumber at = 0;
  };
  Stranger& intrude(NodeNumber node);
  void speak(Stranger& stranger, Bytes message);

  /// With which threads need to meet only so often.
  static constexpr Duration least_latency{1024};
  Duration latency(NodeNumber a, NodeNumber b) const;
  /// Between any two, uniformly.
  void set_latency(Duration low, Duration high) { low_ = low, high_ = high; }
  /// As on the Internet, generated: places on a plane that takes 80 ms to cross, and from each node
  /// to its network a log-normal detour with a median of 4 ms; least_latency in any case. Half of
  /// all pairs are within about 50 ms, one in a hundred beyond 120 ms.
  void set_internet_latency() { is_internet_ = true; }
  /// So many of a thousand links, from now on, carry no more than that, and queue the rest.
  void make_slow(std::uint64_t per_mille, std::uint64_t bytes_per_second) {
    slow_per_mille_ = per_mille, slow_bytes_per_second_ = bytes_per_second;
  }
  /// Cuts every link between nodes of an odd and an even number, and lets no new one be. heal()
  /// ends it.
  void tear();
  void heal() { is_torn_ = false; }

  void set_audience(Audience* audience) { audience_ = audience; }

  // ---- Time ---------------------------------------------------------------------------------

  TimePoint now() const { return now_; }
  void run_for(Duration duration);
  /// Until it is true, or the time is up; says which.
  bool run_until(const std::function<bool()>& condition, Duration at_most);

  std::uint64_t seed() const { return seed_; }
  /// Of all that has happened: two runs with the same hash were the same.
  std::uint64_t event_hash() const;

 private:
  struct Node;
  struct Wire;
  struct Diary;
  struct Place;
  struct Event;
  struct Told;
  struct Shard;
  using Happening = std::move_only_function<void()>;

  // Nodes.
  void start(Node& node, const NodeSpec& spec);
  Place make_place(NodeNumber node) const;
  void disconnect(Node& node, bool others_notice);
  bool is_alive(NodeNumber node, std::uint64_t life) const;

  // What a node's engine wants.
  void drive(Node& node);
  void dial(Node& from, DialId dial, const Address& address);
  void fail(Node& node, DialId dial, Duration wait, DialError error);
  void open(Node& here, Node& there, LinkId asked_for, LinkOrigin as_seen_here,
            LinkOrigin as_seen_there);
  void negotiate(Node& node, const Negotiate& what);
  void make_data_channel(Node& offerer, NegotiationId offered, NodeNumber answerer,
                         NegotiationId answered);
  void fail(Node& from, NodeNumber at, NegotiationId negotiation, Duration wait);
  void transmit(Node& from, LinkId link, Bytes batch);
  void close(Node& from, LinkId link, CloseReason reason);

  // Links. Each end is a wire of its node's, which is all that knows of it.
  LinkId new_wire(Node& node, std::uint32_t to, Duration latency);
  void release(Node& node, LinkId link);
  std::optional<LinkId> link_between(NodeNumber a, NodeNumber b) const;
  TimePoint leaves_at(const Node& node, LinkId link) const;
  std::optional<NodeNumber> node_at(const Address& address) const;
  bool is_forbidden(NodeNumber a, NodeNumber b) const;
  bool can_reach(NodeNumber a, NodeNumber b) const;
  bool is_slow(NodeNumber a, NodeNumber b) const;

  // Events: `from` is whose doing they are.
  void later(Node& from, Duration wait, Event event);
  void later(Node& from, NodeNumber at, Duration wait, Happening happen);
  void happen(Event event);
  void arrive(Node& node, LinkId link, MutableBytes batch);
  void hear_gone(Node& node, LinkId link, CloseReason reason);
  void wake(Node& node);
  void foresee(const Shard& shard);
  void pass(Shard& shard, TimePoint until);
  void pass_side_by_side(std::size_t member);
  void tell_audience();

  std::uint64_t seed_;
  Random random_;
  TimePoint now_{std::chrono::seconds{1}};
  Duration low_ = std::chrono::milliseconds{10};
  Duration high_ = std::chrono::milliseconds{50};
  bool is_internet_ = false;
  bool is_torn_ = false;
  std::uint64_t slow_per_mille_ = 0;
  std::uint64_t slow_bytes_per_second_ = 0;
  Audience* audience_ = nullptr;
  std::vector<std::unique_ptr<Shard>> shards_;  // one for each thread
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Stranger>> strangers_;
  std::vector<std::pair<NodeNumber, NodeNumber>> forbidden_;
  std::unique_ptr<Crew> crew_;  // none for one thread
  bool is_crew_at_work_ = false;
  TimePoint end_;  // of the time that passes
};

/// From the environment variable PEER_RELAY_SEED, or `usual`; printed, so that a failure can be
/// repeated.
std::uint64_t seed_from_environment(std::uint64_t usual);

}  // namespace peer_relay::sim
