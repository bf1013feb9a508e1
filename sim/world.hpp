// SPDX-License-Identifier: MIT
//
// Many engines, one clock, one seed: the network in one thread. A host like the Asio runtime, only
// that time passes when run_for() says so and links are entries in a queue. Links fail here as they
// fail outside: they die, stall, go dark while open; nodes are killed, and lie.
//
// The same seed and the same calls give the same run, event by event.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agenda.hpp"
#include "base/random.hpp"
#include "core/engine/engine.hpp"
#include "modelled_crypto.hpp"
#include "sodium/sodium_crypto.hpp"

namespace peer_relay::sim {

/// libsodium, but for entropy, which comes from the seed.
class SeededCrypto final : public SodiumCrypto {
 public:
  explicit SeededCrypto(std::uint64_t seed) : random_(seed) {}
  void random(MutableBytes out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(random_.next() >> 56);
  }

 private:
  Random random_;
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

/// Hears what applications hear, in place of the inboxes: for worlds too large to keep it all.
class Audience {
 public:
  virtual ~Audience() = default;
  virtual void message(NodeNumber at, const Message& message) = 0;
  virtual void sent(NodeNumber from, MessageId message, const SendResult& result) = 0;
};

/// Which crypto port a world's engines have: libsodium with seeded entropy, or the model of it.
enum class CryptoFlavour : std::uint8_t { sodium, modelled };

class World {
 public:
  explicit World(std::uint64_t seed, CryptoFlavour flavour = CryptoFlavour::sodium);
  /// With a port of one's own, made for the seed that it is given.
  using MakeCrypto = std::unique_ptr<Crypto> (*)(std::uint64_t seed);
  World(std::uint64_t seed, MakeCrypto make_crypto);
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
  std::uint64_t data_channels() const { return data_channels_; }
  /// How many channels there are between two nodes, whatever the nodes think of them.
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

  Duration latency(NodeNumber a, NodeNumber b) const;
  /// Between any two, uniformly.
  void set_latency(Duration low, Duration high) { low_ = low, high_ = high; }
  /// As on the Internet, generated: places on a plane that takes 80 ms to cross, and from each node
  /// to its network a log-normal detour with a median of 4 ms. Half of all pairs are within about
  /// 50 ms, one in a hundred beyond 120 ms.
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
  std::uint64_t event_hash() const { return event_hash_; }

  // For drive(): the host's side.
  struct Node;

 private:
  friend struct Node;
  struct Channel;
  struct Diary;
  struct Place;
  using Happening = std::move_only_function<void()>;

  struct Event {
    enum class Kind : std::uint8_t {
      arrive,    ///< `batch`, at the other end of `link`
      writable,  ///< `link`, at its node
      gone,      ///< the other end of `link`: it hears that this end has closed, for `reason`
      wake,      ///< `node`, if that is still when it wants to be woken
      call,
    };
    TimePoint at{};
    std::uint64_t order = 0;
    Kind kind = Kind::call;
    CloseReason reason = CloseReason::shutdown;
    std::uint32_t node = 0;
    LinkId link{};
    Bytes batch{};
    std::unique_ptr<Happening> call{};

    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  void later(Duration wait, Happening happen);
  void later(Duration wait, Event event);
  void happen(Event event);
  void foresee();
  Place make_place(NodeNumber node) const;
  bool is_slow(NodeNumber a, NodeNumber b) const;
  void drive(NodeNumber node);
  void start(NodeNumber node, const NodeSpec& spec);
  void dial(NodeNumber from, DialId dial, const Address& address);
  void negotiate(NodeNumber node, Negotiate what);
  void make_data_channel(NodeNumber offerer, NegotiationId offered, NodeNumber answerer,
                         NegotiationId answered);
  void transmit(LinkId link, Bytes batch);
  void close(NodeNumber from, LinkId link, CloseReason reason);
  void arrive(LinkId link, Bytes message);
  void hear_gone(LinkId link, CloseReason reason);
  std::optional<NodeNumber> node_at(const Address& address) const;
  bool is_forbidden(NodeNumber a, NodeNumber b) const;

  // Channels. A link is an end of one; its number says which.
  LinkId open_channel(std::uint32_t first, std::uint32_t second, Duration latency);
  Channel* channel_of(LinkId link);
  const Channel* channel_of(LinkId link) const;
  void attach(LinkId link);
  void detach(LinkId link);
  std::optional<LinkId> link_between(NodeNumber a, NodeNumber b) const;
  void disconnect(NodeNumber node, bool others_notice);

  std::uint64_t seed_;
  Random random_;
  std::unique_ptr<Crypto> crypto_;
  std::shared_ptr<ContactPool> contact_pool_ = make_contact_pool();
  TimePoint now_{std::chrono::seconds{1}};
  std::uint64_t next_order_ = 0;
  std::uint64_t event_hash_ = 14695981039346656037u;
  Duration low_ = std::chrono::milliseconds{10};
  Duration high_ = std::chrono::milliseconds{50};
  bool is_internet_ = false;
  bool is_torn_ = false;
  std::uint64_t data_channels_ = 0;
  std::uint64_t slow_per_mille_ = 0;
  std::uint64_t slow_bytes_per_second_ = 0;
  Audience* audience_ = nullptr;
  Agenda<Event> agenda_;
  std::vector<LinkId> writable_;  // what the node that is driven has just transmitted on
  std::deque<Channel> channels_;
  std::vector<std::uint32_t> free_channels_;
  // What few channels have: a stranger at the first end, messages held while stalled, and when what
  // was sent so far has left a slow one.
  std::map<std::uint32_t, Stranger*> stranger_at_;
  std::map<std::uint32_t, std::vector<Event>> held_;
  std::map<LinkId, TimePoint> busy_until_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Stranger>> strangers_;
  std::vector<std::pair<NodeNumber, NodeNumber>> forbidden_;
};

/// From the environment variable PEER_RELAY_SEED, or `usual`; printed, so that a failure can be
/// repeated.
std::uint64_t seed_from_environment(std::uint64_t usual);

}  // namespace peer_relay::sim
