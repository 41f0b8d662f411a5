// SPDX-License-Identifier: Apache-2.0
// IoBus with handlers that record what reaches them.
#include "vmm/bus/io_bus.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <thread>

#include "vmm/base/bytes.hpp"

namespace gpuvm::io_bus_test {
namespace {

struct Access {
  char kind;
  std::uint64_t offset;
  std::size_t size;
  std::uint64_t value;
  bool operator==(const Access&) const = default;
};

/// Answers reads with `answer` and keeps a history.
class RecordingHandler : public IoHandler {
 public:
  explicit RecordingHandler(std::uint64_t answer = 0x42, IoStatus status = IoStatus::kOk)
      : answer_(answer), status_(status) {}
  std::string_view name() const override { return "recorder"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override {
    history.push_back({'r', offset, out.size(), 0});
    store_le(out, answer_);
    return status_;
  }
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override {
    history.push_back({'w', offset, in.size(), load_le(in)});
    return status_;
  }

  std::vector<Access> history;

 private:
  std::uint64_t answer_;
  IoStatus status_;
};

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return GuestRange::create(GuestAddress(base), size).value();
}

std::uint64_t read(MmioBus& bus, std::uint64_t at, std::size_t size) {
  std::array<std::byte, 8> bytes{};
  bus.read(GuestAddress(at), std::span(bytes).first(size));
  return load_le(std::span(bytes).first(size));
}

void write(MmioBus& bus, std::uint64_t at, std::size_t size, std::uint64_t value) {
  std::array<std::byte, 8> bytes{};
  store_le(bytes, value);
  bus.write(GuestAddress(at), std::span(bytes).first(size));
}

TEST(IoBus, HandlersSeeOffsets) {
  RecordingHandler handler;
  MmioBus bus("mmio");
  ASSERT_TRUE(bus.add({range(0x1000, 0x100), &handler}));
  ASSERT_TRUE(bus.add({range(0x8000, 0x100), &handler, 0x100}));
  EXPECT_EQ(read(bus, 0x1004, 4), 0x42U);
  write(bus, 0x10ff, 1, 0xab);
  EXPECT_EQ(read(bus, 0x8000, 2), 0x42U);
  EXPECT_EQ(handler.history,
            (std::vector<Access>{{'r', 4, 4, 0}, {'w', 0xff, 1, 0xab}, {'r', 0x100, 2, 0}}));
  EXPECT_EQ(bus.unclaimed(), 0U);
}

TEST(IoBus, AllOnesWhereNothingAnswers) {
  RecordingHandler handler;
  MmioBus bus("mmio");
  ASSERT_TRUE(bus.add({range(0x1000, 0x100), &handler}));
  EXPECT_EQ(read(bus, 0x2000, 4), 0xffffffffU);
  EXPECT_EQ(read(bus, 0xfff, 2), 0xffffU);
  EXPECT_EQ(read(bus, 0x10fe, 4), 0xffffffffU);  // crosses the end
  EXPECT_EQ(read(bus, ~std::uint64_t{0}, 8), ~std::uint64_t{0});
  write(bus, 0x2000, 4, 0);
  EXPECT_TRUE(handler.history.empty());
  EXPECT_EQ(bus.unclaimed(), 5U);
}

TEST(IoBus, ARefusedReadIsAllOnesWhateverTheHandlerLeft) {
  for (const auto status : {IoStatus::kInvalidRegister, IoStatus::kInvalidSize,
                            IoStatus::kUnaligned, IoStatus::kNoResponse}) {
    RecordingHandler handler(0, status);
    MmioBus bus("mmio");
    ASSERT_TRUE(bus.add({range(0x1000, 0x100), &handler}));
    EXPECT_EQ(read(bus, 0x1000, 4), 0xffffffffU);
    write(bus, 0x1000, 4, 0);
    EXPECT_EQ(bus.unclaimed(), 2U);
  }
}

TEST(IoBus, ReplaceIsAllOrNothing) {
  RecordingHandler first(1);
  RecordingHandler second(2);
  MmioBus bus("mmio");
  ASSERT_TRUE(bus.add({range(0x1000, 0x100), &first}));
  ASSERT_TRUE(bus.add({range(0x2000, 0x100), &second}));
  const std::array remove = {GuestAddress(0x1000)};
  const std::array<IoMapping<GuestAddress>, 2> bad = {
      {{range(0x5000, 0x100), &first}, {range(0x20ff, 1), &first}}};
  EXPECT_FALSE(bus.replace(remove, bad));
  EXPECT_EQ(read(bus, 0x1000, 1), 1U);
  EXPECT_EQ(read(bus, 0x5000, 1), 0xffU);
  const std::array<IoMapping<GuestAddress>, 1> good = {{{range(0x1080, 0x100), &first}}};
  ASSERT_TRUE(bus.replace(remove, good));
  EXPECT_EQ(read(bus, 0x1000, 1), 0xffU);
  EXPECT_EQ(read(bus, 0x1080, 1), 1U);
}

TEST(IoBus, PortsWorkTheSame) {
  RecordingHandler handler(0x60);
  PortBus bus("ports");
  ASSERT_TRUE(bus.add({PortRange::create(IoPort(0x3f8), 8).value(), &handler}));
  std::array<std::byte, 1> byte{};
  bus.read(IoPort(0x3fd), byte);
  EXPECT_EQ(byte[0], std::byte{0x60});
  EXPECT_EQ(handler.history, (std::vector<Access>{{'r', 5, 1, 0}}));
}

/// Moves itself when it is written to, as a PCI device does whose BAR is programmed.
class MovingHandler : public IoHandler {
 public:
  explicit MovingHandler(MmioBus& bus) : bus_(bus) {}
  std::string_view name() const override { return "mover"; }
  IoStatus read(std::uint64_t, std::span<std::byte> out) override {
    store_le(out, 7);
    return IoStatus::kOk;
  }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override {
    const std::array remove = {GuestAddress(0x1000)};
    const std::array<IoMapping<GuestAddress>, 1> mapping = {{{range(0x3000, 0x100), this}}};
    return bus_.replace(remove, mapping) ? IoStatus::kOk : IoStatus::kNoResponse;
  }

 private:
  MmioBus& bus_;
};

TEST(IoBus, AHandlerMayChangeTheBus) {
  MmioBus bus("mmio");
  MovingHandler handler(bus);
  ASSERT_TRUE(bus.add({range(0x1000, 0x100), &handler}));
  write(bus, 0x1000, 4, 0);  // must not deadlock
  EXPECT_EQ(read(bus, 0x1000, 1), 0xffU);
  EXPECT_EQ(read(bus, 0x3000, 1), 7U);
}

/// Answers without state, so that several threads may call it.
class ConstantHandler : public IoHandler {
 public:
  std::string_view name() const override { return "constant"; }
  IoStatus read(std::uint64_t, std::span<std::byte> out) override {
    store_le(out, 7);
    return IoStatus::kOk;
  }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override { return IoStatus::kOk; }
};

// Either the old or the new address answers, and a range that does not move always does.
TEST(IoBus, LookupsWhileRangesMove) {
  MmioBus bus("mmio");
  ConstantHandler fixed;
  ConstantHandler moving;
  ASSERT_TRUE(bus.add({range(0x1000, 0x100), &fixed}));
  ASSERT_TRUE(bus.add({range(0x2000, 0x100), &moving}));
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::thread reader([&] {
    while (!done) {
      wrong += read(bus, 0x1000, 1) == 7 ? 0 : 1;
      const auto either = read(bus, 0x2000, 1);
      wrong += either == 7 || either == 0xff ? 0 : 1;
    }
  });
  for (int i = 0; i < 1000; ++i) {
    const std::array remove = {GuestAddress(i % 2 == 0 ? 0x2000 : 0x3000)};
    const std::array<IoMapping<GuestAddress>, 1> mapping = {
        {{range(i % 2 == 0 ? 0x3000 : 0x2000, 0x100), &moving}}};
    EXPECT_TRUE(bus.replace(remove, mapping));
  }
  done = true;
  reader.join();
  EXPECT_EQ(wrong, 0U);
}

/// Says so when it is called after its end, where no sanitizer does.
class LeavingHandler : public IoHandler {
 public:
  explicit LeavingHandler(std::atomic<std::uint64_t>& wrong) : wrong_(wrong) {}
  ~LeavingHandler() override { alive_ = 0; }
  std::string_view name() const override { return "leaving"; }
  IoStatus read(std::uint64_t, std::span<std::byte> out) override {
    calls.fetch_add(1);
    calls.notify_one();
    std::this_thread::yield();  // more time to be destroyed in
    wrong_ += alive_ == kAlive ? 0 : 1;
    store_le(out, 7);
    return IoStatus::kOk;
  }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override { return IoStatus::kOk; }
  std::atomic<std::uint64_t> calls{0};

 private:
  static constexpr std::uint64_t kAlive = 0x6c697665;
  std::atomic<std::uint64_t>& wrong_;
  volatile std::uint64_t alive_ = kAlive;
};

TEST(IoBus, AHandlerThatLeftIsNotCalled) {
  constexpr int kRounds = 200;
  MmioBus bus("mmio");
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> vcpus;
  for (int i = 0; i < 3; ++i) {
    vcpus.emplace_back([&] {
      while (!done) {
        const auto value = read(bus, 0x2000, 1);
        wrong += value == 7 || value == 0xff ? 0 : 1;
      }
    });
  }
  for (int i = 0; i < kRounds; ++i) {
    auto handler = std::make_unique<LeavingHandler>(wrong);
    const std::array<IoMapping<GuestAddress>, 2> mappings = {
        {{range(0x2000, 0x100), handler.get()}, {range(0x3000, 0x100), handler.get(), 0x100}}};
    ASSERT_TRUE(bus.replace({}, mappings));
    handler->calls.wait(0);
    const std::array bases = {GuestAddress(0x2000), GuestAddress(0x3000)};
    ASSERT_TRUE(bus.remove(bases));
  }
  done = true;
  for (auto& vcpu : vcpus) {
    vcpu.join();
  }
  EXPECT_EQ(wrong, 0U);
}

/// Asks the bus, inside of its access and once the other is in one too, for another's removal.
class RemovingHandler : public IoHandler {
 public:
  using Remove = std::function<Status(GuestAddress)>;
  RemovingHandler(std::latch& both, GuestAddress other, Remove remove)
      : both_(both), other_(other), remove_(std::move(remove)) {}
  std::string_view name() const override { return "remover"; }
  IoStatus read(std::uint64_t, std::span<std::byte>) override { return IoStatus::kNoResponse; }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override {
    both_.arrive_and_wait();
    return remove_(other_) ? IoStatus::kOk : IoStatus::kNoResponse;
  }

 private:
  std::latch& both_;
  const GuestAddress other_;
  const Remove remove_;
};

/// Two handlers that remove each other, in two vCPUs at once.
class Removers {
 public:
  Removers(MmioBus& bus, const RemovingHandler::Remove& remove)
      : bus_(bus),
        first_(both_, GuestAddress(0x2000), remove),
        second_(both_, GuestAddress(0x1000), remove) {
    EXPECT_TRUE(bus.add({range(0x1000, 0x100), &first_}));
    EXPECT_TRUE(bus.add({range(0x2000, 0x100), &second_}));
  }
  void run() {
    std::thread vcpu([this] { write(bus_, 0x1000, 1, 0); });
    write(bus_, 0x2000, 1, 0);
    vcpu.join();
  }

 private:
  MmioBus& bus_;
  std::latch both_{2};
  RemovingHandler first_;
  RemovingHandler second_;
};

// As two vCPUs do that move each other's BARs: neither waits for the other.
// A vCPU that resets one device waits in its handler; another device leaves meanwhile.
TEST(IoBus, AHandlerLeavesWhileAnotherIsBusy) {
  class Busy : public IoHandler {
   public:
    std::string_view name() const override { return "busy"; }
    IoStatus read(std::uint64_t, std::span<std::byte>) override {
      begun.count_down();
      over.wait();
      return IoStatus::kOk;
    }
    IoStatus write(std::uint64_t, std::span<const std::byte>) override { return IoStatus::kOk; }
    std::latch begun{1};
    std::latch over{1};
  };
  MmioBus bus("test");
  Busy busy;
  RecordingHandler first;
  RecordingHandler second;
  ASSERT_TRUE(bus.add({range(0x1000, 0x100), &busy}));
  ASSERT_TRUE(bus.add({range(0x2000, 0x100), &first}));
  ASSERT_TRUE(bus.add({range(0x3000, 0x100), &second}));
  std::thread vcpu([&bus] { read(bus, 0x1000, 4); });
  busy.begun.wait();
  const GuestAddress at_first(0x2000);
  EXPECT_TRUE(bus.remove({&at_first, 1}));
  const GuestAddress at_second(0x3000);
  ASSERT_TRUE(bus.replace({&at_second, 1}, {}));
  const IoHandler* const left = &second;
  EXPECT_TRUE(bus.drain({&left, 1}));
  busy.over.count_down();
  vcpu.join();
}

TEST(IoBus, TwoAccessesMayRemoveEachOther) {
  MmioBus bus("mmio");
  Removers removers(bus, [&bus](GuestAddress base) { return bus.replace({&base, 1}, {}); });
  removers.run();
  EXPECT_EQ(bus.unclaimed(), 0U) << "both could";
  write(bus, 0x1000, 1, 0);
  write(bus, 0x2000, 1, 0);
  EXPECT_EQ(bus.unclaimed(), 2U) << "nothing is there";
}

TEST(IoBus, NobodyWaitsInsideOfAnAccess) {
  MmioBus bus("mmio");
  Removers removers(bus, [&bus](GuestAddress base) { return bus.remove({&base, 1}); });
  removers.run();
  EXPECT_EQ(bus.unclaimed(), 2U) << "both were refused";
  InspectNode node;
  bus.inspect(node);
  EXPECT_EQ(node.child("ranges").get("0x1000"), "remover") << "and nothing was removed";
  const std::array bases = {GuestAddress(0x1000), GuestAddress(0x2000)};
  EXPECT_TRUE(bus.remove(bases));
}

TEST(IoBus, Inspect) {
  RecordingHandler handler;
  MmioBus bus("mmio");
  ASSERT_TRUE(bus.add({range(0x1000, 0x100), &handler}));
  ASSERT_TRUE(bus.add({range(0x3000, 0x100), &handler, 0x100}));
  read(bus, 0, 1);
  InspectNode node;
  bus.inspect(node);
  EXPECT_EQ(node.to_json(),
            R"({"unclaimed":1,"ranges":{"0x1000":"recorder","0x3000":"recorder"}})");
}

}  // namespace
}  // namespace gpuvm::io_bus_test
