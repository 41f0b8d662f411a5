// SPDX-License-Identifier: Apache-2.0
// VfioUserDevice against servers that lie, break off and fall silent, at every step: an error in
// bounded time, nothing leaked, and a function that is gone once its server cannot be believed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <utility>

#include "devices/physical/vfio_user/vfio_user_device.hpp"
#include "tests/unit/devices/physical/vfio_user/scripted_server.hpp"
#include "vmm/base/event_fd.hpp"

namespace gpuvm::test::hostile_server_test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using vfio_user::Header;

using Lie = void (*)(ScriptedServer&, const Message&);

struct NamedLie {
  const char* name;
  Lie tell;
  bool breaks_protocol;  ///< nothing that such a server says may be believed
};

Bytes whole(const Message& message, const Bytes& payload) {
  Bytes bytes;
  append_bytes(bytes, Header{message.header.id, message.header.command,
                             static_cast<std::uint32_t>(sizeof(Header) + payload.size()), 1, 0});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

Bytes honest(ScriptedServer& server, const Message& message, std::vector<int>& fds) {
  return whole(message, server.payload_for(message, fds));
}

/// The honest answer with one number of its header changed.
void send_with(ScriptedServer& server, const Message& message, std::size_t offset,
               std::size_t width, std::uint64_t value) {
  std::vector<int> fds;
  auto bytes = honest(server, message, fds);
  store_le(std::span(bytes).subspan(offset, width), value);
  server.send_raw(bytes, fds);
}

void send_cut(ScriptedServer& server, const Message& message, std::size_t keep) {
  std::vector<int> fds;
  auto bytes = honest(server, message, fds);
  bytes.resize(std::min(bytes.size(), keep));
  server.send_raw(bytes, fds);
  server.hang_up();
}

void send_longer(ScriptedServer& server, const Message& message) {
  std::vector<int> fds;
  auto payload = server.payload_for(message, fds);
  payload.resize(vfio_user::kMaxPayload);
  server.send_raw(whole(message, payload), fds);
}

void send_fds(ScriptedServer& server, const Message& message, std::size_t count) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::vector<int> ignored;
  server.send_raw(honest(server, message, ignored), std::vector<int>(count, file.get()));
}

constexpr NamedLie kLies[] = {
    {"HangsUp", [](ScriptedServer& s, const Message&) { s.hang_up(); }, true},
    {"HeaderIsCut", [](ScriptedServer& s, const Message& m) { send_cut(s, m, 7); }, true},
    {"HeaderAlone", [](ScriptedServer& s, const Message& m) { send_with(s, m, 4, 4, 100000); },
     true},
    {"SizeBelowHeader", [](ScriptedServer& s, const Message& m) { send_with(s, m, 4, 4, 15); },
     true},
    {"SizeIsHuge", [](ScriptedServer& s, const Message& m) { send_with(s, m, 4, 4, ~0U); }, true},
    {"WrongId", [](ScriptedServer& s, const Message& m) { send_with(s, m, 0, 2, 0x7777); }, true},
    {"WrongCommand", [](ScriptedServer& s, const Message& m) { send_with(s, m, 2, 2, 14); }, true},
    {"WrongType", [](ScriptedServer& s, const Message& m) { send_with(s, m, 8, 4, 5); }, true},
    {"ErrorFlag", [](ScriptedServer& s, const Message& m) { s.answer_error(m, EPERM); }, false},
    {"ErrorWithoutNumber", [](ScriptedServer& s, const Message& m) { s.answer_error(m, 0); },
     false},
    {"ErrorWithoutMeaning", [](ScriptedServer& s, const Message& m) { s.answer_error(m, ~0U); },
     false},
    {"TooLong", send_longer, true},
    {"TooManyFds", [](ScriptedServer& s, const Message& m) { send_fds(s, m, 9); }, true},
    {"MoreFdsThanPossible", [](ScriptedServer& s, const Message& m) { send_fds(s, m, 30); }, true},
    {"TwoFds", [](ScriptedServer& s, const Message& m) { send_fds(s, m, 2); }, true},
    {"Silent", [](ScriptedServer&, const Message&) {}, true},
};

constexpr Command kSteps[] = {
    Command::kVersion,          Command::kDeviceGetInfo, Command::kDeviceGetRegionInfo,
    Command::kDeviceGetIrqInfo, Command::kRegionRead,    Command::kRegionWrite,
    Command::kDeviceSetIrqs,    Command::kDmaMap,        Command::kDmaUnmap,
    Command::kDeviceReset};

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

VfioUserDevice::Options waiting(milliseconds limit) {
  return {.timeout = limit, .reset_timeout = limit};
}
VfioUserDevice::Options impatient() {
  return waiting(milliseconds(100));
}
/// For servers that do answer.
VfioUserDevice::Options patient() {
  return waiting(milliseconds(10000));
}

/// Uses every command once; the first error, if any.
Status use(VfioUserDevice& device) {
  std::array<std::byte, 4> bytes{};
  TRY(device.read(RegionIndex::kBar0, 0, bytes));
  TRY(device.write(RegionIndex::kBar0, 0, bytes));
  const auto event = TRY(EventFd::create());
  const int fd = event.fd();
  TRY(device.set_irq_fds(IrqType::kMsix, 0, {&fd, 1}));
  TRY(device.map_dma(Iova(0), {.bytes = bytes, .fd = fd}));
  TRY(device.unmap_dma(Iova(0), 4));
  return device.slot_reset();
}

class Liar : public ::testing::TestWithParam<std::tuple<Command, NamedLie>> {};

TEST_P(Liar, IsFoundOutAndNothingIsLeftBehind) {
  const auto& [step, lie] = GetParam();
  const auto files = open_files();
  {
    ScriptedServer server;
    server.on(step, [&server, tell = lie.tell](const Message& message) { tell(server, message); });
    auto device = VfioUserDevice::adopt("liar", server.start(), impatient());
    const auto status = device ? use(**device) : Status(std::move(device).error());
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
    EXPECT_THAT(status.error().to_string(), HasSubstr("server"));
    if (device && lie.breaks_protocol) {
      EXPECT_TRUE((*device)->is_gone());
      std::array<std::byte, 4> bytes{};
      EXPECT_FALSE((*device)->read(RegionIndex::kConfig, 0, bytes));
      EXPECT_TRUE((*device)->disable_irqs(IrqType::kMsix));  // there are none any more
    }
  }
  EXPECT_EQ(open_files(), files);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, Liar,
                         ::testing::Combine(::testing::ValuesIn(kSteps),
                                            ::testing::ValuesIn(kLies)),
                         [](const ::testing::TestParamInfo<Liar::ParamType>& test) {
                           return std::string(vfio_user::to_string(std::get<0>(test.param))) + "_" +
                                  std::get<1>(test.param).name;
                         });

class Hostile : public ::testing::Test {
 protected:
  void open(const VfioUserDevice::Options& options = patient()) {
    auto opened = VfioUserDevice::adopt("/run/fake.sock", server_.start(), options);
    ASSERT_TRUE(opened) << opened.error().to_string();
    device_ = std::move(opened).value();
  }
  /// Changes the payload of the well-behaved answer.
  void distort(Command command, std::function<void(const Message&, Bytes&, std::vector<int>&)> by) {
    server_.on(command, [this, by = std::move(by)](const Message& message) {
      std::vector<int> fds;
      auto payload = server_.payload_for(message, fds);
      by(message, payload, fds);
      server_.answer(message, payload, fds);
    });
  }
  std::string opening_error() {
    const auto opened = VfioUserDevice::adopt("/run/fake.sock", server_.start(), patient());
    return opened ? "none" : opened.error().to_string();
  }
  static bool is_region(const Message& message, std::uint32_t index) {
    return load_at<std::uint32_t>(message.payload, 8) == index;
  }

  std::atomic<bool> may_end_{false};  ///< outlives the server's thread
  ScriptedServer server_;
  std::unique_ptr<VfioUserDevice> device_;
};

TEST_F(Hostile, AServerThatLeavesSignalsTheErrorInterrupt) {
  open();
  const auto event = EventFd::create().value();
  const int fd = event.fd();
  ASSERT_TRUE(device_->set_irq_fds(IrqType::kError, 0, {&fd, 1}));
  EXPECT_FALSE(event.drain());
  server_.hang_up();
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&wanted, 1, 5000), 1);
  EXPECT_TRUE(device_->is_gone());
  std::array<std::byte, 4> bytes{};
  const auto status = device_->read(RegionIndex::kConfig, 0, bytes);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().to_string(), HasSubstr("server has gone: it closed the connection"));
}

TEST_F(Hostile, AnEventForAServerThatHasLeftIsSignalledAtOnce) {
  open();
  server_.hang_up();
  std::array<std::byte, 4> bytes{};
  ASSERT_FALSE(device_->read(RegionIndex::kConfig, 0, bytes));
  const auto event = EventFd::create().value();
  const int fd = event.fd();
  ASSERT_TRUE(device_->set_irq_fds(IrqType::kError, 0, {&fd, 1}));
  EXPECT_TRUE(event.drain());
}

TEST_F(Hostile, AnErrorEventThatWasTakenAwayStaysSilent) {
  open();
  const auto event = EventFd::create().value();
  const int fd = event.fd();
  ASSERT_TRUE(device_->set_irq_fds(IrqType::kError, 0, {&fd, 1}));
  ASSERT_TRUE(device_->disable_irqs(IrqType::kError));
  server_.hang_up();
  std::array<std::byte, 4> bytes{};
  ASSERT_FALSE(device_->read(RegionIndex::kConfig, 0, bytes));
  EXPECT_FALSE(event.drain());
}

TEST_F(Hostile, ASilentServerIsGivenUpOnce) {
  server_.on(Command::kRegionWrite, [](const Message&) {});
  open(waiting(milliseconds(1000)));
  const std::array<std::byte, 1> byte{};
  const auto first = device_->write(RegionIndex::kBar0, 0, byte);
  ASSERT_FALSE(first);
  EXPECT_THAT(first.error().to_string(), HasSubstr("did not answer REGION_WRITE within 1000 ms"));
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(device_->write(RegionIndex::kBar0, 0, byte));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(50));  // not 100 × 1 s
}

TEST_F(Hostile, AServerThatDoesNotReadIsGivenUp) {
  server_.on(Command::kRegionWrite, [this](const Message&) { may_end_.wait(false); });
  open(waiting(milliseconds(1000)));
  const Bytes much(0x8000);
  std::vector<std::thread> writers;
  for (int i = 0; i < 20; ++i) {  // more than a socket holds
    writers.emplace_back([&] { EXPECT_FALSE(device_->write(RegionIndex::kBar0, 0, much)); });
  }
  for (auto& writer : writers) {
    writer.join();
  }
  EXPECT_TRUE(device_->is_gone());
  may_end_ = true;
  may_end_.notify_all();
}

// "Message IDs belong entirely to the sender": answers may come in another order.
TEST_F(Hostile, AnswersAreToldApart) {
  std::vector<Message> waiting;
  server_.on(Command::kRegionRead, [&](const Message& message) {
    if (load_at<std::uint32_t>(message.payload, 8) == 7) {
      server_.behave(message);
      return;
    }
    waiting.push_back({.header = message.header, .payload = message.payload, .fds = {}});
    if (waiting.size() == 2) {
      // Once the test has its answers it may end, and `waiting` with it.
      const std::vector<Message> both = std::exchange(waiting, {});
      server_.behave(both[1]);
      server_.behave(both[0]);
    }
  });
  server_.bar0[0] = std::byte{1};
  server_.bar0[1] = std::byte{2};
  auto opened = VfioUserDevice::adopt("both", server_.start(), {});
  ASSERT_TRUE(opened);
  auto& device = **opened;
  for (int round = 0; round < 50; ++round) {
    std::array<std::byte, 2> read{};
    std::thread other(
        [&] { EXPECT_TRUE(device.read(RegionIndex::kBar0, 1, std::span(read).subspan(1, 1))); });
    EXPECT_TRUE(device.read(RegionIndex::kBar0, 0, std::span(read).first(1)));
    other.join();
    EXPECT_EQ(read[0], std::byte{1});
    EXPECT_EQ(read[1], std::byte{2});
  }
}

// Commands of a server are refused, and answers to ours still come.
TEST_F(Hostile, CommandsOfTheServerAreRefused) {
  Message refusal;
  server_.on(Command::kDmaRead, [&](const Message& message) { refusal.header = message.header; });
  server_.on(Command::kRegionWrite, [&](const Message& message) {
    Bytes command;
    append_bytes(command, Header{77, 11, sizeof(Header) + 16, 0, 0});
    command.resize(sizeof(Header) + 16);
    server_.send_raw(command);
    server_.behave(message);
  });
  open();
  const std::array<std::byte, 1> byte{};
  ASSERT_TRUE(device_->write(RegionIndex::kBar0, 0, byte));
  std::array<std::byte, 1> back{};
  ASSERT_TRUE(device_->read(RegionIndex::kBar0, 0, back));  // the server is behind the refusal
  EXPECT_EQ(refusal.header.id, 77U);
  EXPECT_EQ(refusal.header.flags, 1U | 1U << 5);
  EXPECT_EQ(refusal.header.error, static_cast<std::uint32_t>(EOPNOTSUPP));
}

TEST_F(Hostile, AnAnswerAboutSomethingElseEndsTheServer) {
  distort(Command::kRegionWrite,
          [](const Message&, Bytes& payload, std::vector<int>&) { payload[0] = std::byte{0x44}; });
  open();
  const std::array<std::byte, 1> byte{};
  const auto status = device_->write(RegionIndex::kBar0, 0, byte);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().to_string(), HasSubstr("region 0 at 0x44"));
  EXPECT_TRUE(device_->is_gone());
}

TEST_F(Hostile, AMappableRegionWithoutAFileIsRefused) {
  distort(Command::kDeviceGetRegionInfo,
          [](const Message&, Bytes&, std::vector<int>& fds) { fds.clear(); });
  EXPECT_THAT(opening_error(), HasSubstr("sent no file for it"));
}

// A mapping past the end of a file would end the guest at the first access there.
TEST_F(Hostile, AFileThatIsTooShortIsRefused) {
  ASSERT_EQ(::ftruncate(server_.bar2.get(), static_cast<off_t>(ScriptedServer::kBar2Offset +
                                                               ScriptedServer::kBar2Size - 1)),
            0);
  EXPECT_THAT(opening_error(), HasSubstr("0x200fff bytes, but 0x201000 would be mapped"));
}

TEST_F(Hostile, AFileOffsetInsideAPageIsRefused) {
  ASSERT_EQ(::ftruncate(server_.bar2.get(), 2 * ScriptedServer::kBar2Size), 0);
  distort(Command::kDeviceGetRegionInfo, [](const Message& message, Bytes& payload, auto&) {
    if (is_region(message, 2)) {
      payload[24] = std::byte{8};
    }
  });
  EXPECT_THAT(opening_error(), HasSubstr("begins inside a page"));
}

TEST_F(Hostile, ARegionWhoseAnswerKeepsGrowingIsRefused) {
  distort(Command::kDeviceGetRegionInfo, [](const Message&, Bytes& payload, auto&) {
    store_le(std::span(payload).first(4), payload.size() + 5000);
  });
  EXPECT_THAT(opening_error(), HasSubstr("keeps growing"));
}

TEST_F(Hostile, ADeviceWithoutAConfigurationSpaceIsRefused) {
  distort(Command::kDeviceGetRegionInfo, [](const Message& message, Bytes& payload, auto&) {
    if (is_region(message, 7)) {
      payload[4] = std::byte{1};  // readable only
    }
  });
  EXPECT_THAT(opening_error(), HasSubstr("no configuration space"));
}

}  // namespace
}  // namespace gpuvm::test::hostile_server_test
