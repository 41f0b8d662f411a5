// SPDX-License-Identifier: Apache-2.0
// VfioUserDevice against a server that behaves: every message as the specification has it.
#include "devices/physical/vfio_user/vfio_user_device.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "devices/physical/vfio_user/vfio_user_host.hpp"
#include "tests/unit/devices/physical/no_more_threads.hpp"
#include "tests/unit/devices/physical/vfio_user/scripted_server.hpp"
#include "vmm/base/event_fd.hpp"

namespace gpuvm::test::vfio_user_device_test {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VfioUser : public ::testing::Test {
 protected:
  void open() {
    auto opened = VfioUserDevice::adopt("/run/fake.sock", server_.start(), options_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    device_ = std::move(opened).value();
  }
  std::uint32_t word(const Message& message, std::size_t offset) {
    return load_at<std::uint32_t>(message.payload, offset).value_or(~0U);
  }

  ScriptedServer server_;
  VfioUserDevice::Options options_{.timeout = milliseconds(5000),
                                   .reset_timeout = milliseconds(5000)};
  std::unique_ptr<VfioUserDevice> device_;
};

TEST_F(VfioUser, RegionsAndInterruptsAreTheServers) {
  open();
  EXPECT_EQ(device_->name(), "/run/fake.sock");
  EXPECT_EQ(device_->region(RegionIndex::kBar0).size, 0x10000U);
  EXPECT_FALSE(device_->region(RegionIndex::kBar0).mappable);
  EXPECT_EQ(device_->region(RegionIndex::kBar1).size, 0U);
  EXPECT_EQ(device_->region(RegionIndex::kBar2).sparse_areas.size(), 2U);
  EXPECT_EQ(device_->region(RegionIndex::kConfig).size, 256U);
  EXPECT_EQ(device_->irq(IrqType::kMsix).count, 8U);
  EXPECT_TRUE(device_->irq(IrqType::kIntx).maskable);
  EXPECT_EQ(device_->irq(IrqType::kError).count, 1U);  // the server has none: ours
  EXPECT_TRUE(device_->has_function_reset());
  EXPECT_TRUE(device_->has_slot_reset());
  EXPECT_FALSE(device_->is_gone());
}

// The thread that reads is the connection's: without one it has no answers.
TEST_F(VfioUser, AProcessThatMayHaveNoMoreThreadsIsToldTheCure) {
  UniqueFd socket = server_.start();
  const NoMoreThreads none;
  const auto opened = VfioUserDevice::adopt("/run/fake.sock", std::move(socket), options_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(opened.error().to_string(), HasSubstr("ulimit -u"));
}

TEST_F(VfioUser, RegionsAndTypesThatTheServerDoesNotKnowAreAbsent) {
  server_.on(Command::kDeviceGetRegionInfo, [this](const Message& message) {
    word(message, 8) == 8 ? server_.answer_error(message, EINVAL) : server_.behave(message);
  });
  server_.on(Command::kDeviceGetIrqInfo, [this](const Message& message) {
    word(message, 8) == 3 ? server_.answer_error(message, EINVAL) : server_.behave(message);
  });
  open();
  EXPECT_EQ(device_->region(RegionIndex::kVga).size, 0U);
}

TEST_F(VfioUser, ReadsAndWritesArriveInTheRegion) {
  open();
  const std::array<std::byte, 4> value{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  ASSERT_TRUE(device_->write(RegionIndex::kBar0, 0x1234, value));
  std::array<std::byte, 4> back{};
  ASSERT_TRUE(device_->read(RegionIndex::kBar0, 0x1234, back));
  EXPECT_EQ(back, value);
  EXPECT_EQ(server_.bar0[0x1236], std::byte{3});
  EXPECT_FALSE(device_->read(RegionIndex::kBar0, 0xfffe, back));  // leaves the region
  EXPECT_FALSE(device_->read(RegionIndex::kBar1, 0, back));       // absent
  EXPECT_FALSE(device_->write(RegionIndex::kBar0, ~0ULL, value));
  EXPECT_FALSE(device_->is_gone());  // none of that was the server's fault
}

TEST_F(VfioUser, LongAccessesAreCutToWhatTheServerTakes) {
  server_.capabilities = R"({"capabilities":{"max_data_xfer_size":100}})";
  open();
  Bytes data(250, std::byte{0x77});
  ASSERT_TRUE(device_->write(RegionIndex::kBar0, 0x10, data));
  Bytes back(250);
  ASSERT_TRUE(device_->read(RegionIndex::kBar0, 0x10, back));
  EXPECT_EQ(back, data);
  // "The count field must not exceed the value of max_data_xfer_size of the peer."
  const auto commands = server_.commands();
  EXPECT_EQ(std::count(commands.begin(), commands.end(), Command::kRegionWrite), 3);
}

// "offset: the file offset of the region with respect to the associated file descriptor".
TEST_F(VfioUser, MappedAreasAreTheServersMemory) {
  open();
  auto mapping = device_->map(RegionIndex::kBar2, {0x3000, 0x2000}, 0x1000);
  ASSERT_TRUE(mapping) << mapping.error().to_string();
  mapping->bytes()[0x10] = std::byte{0x99};
  std::byte seen{};
  ASSERT_EQ(::pread(server_.bar2.get(), &seen, 1, ScriptedServer::kBar2Offset + 0x3010), 1);
  EXPECT_EQ(seen, std::byte{0x99});
  EXPECT_FALSE(device_->map(RegionIndex::kBar2, {0x0, 0x2000}, 0x1000));  // between the areas
  EXPECT_FALSE(device_->map(RegionIndex::kBar0, {0x0, 0x1000}, 0x1000));
}

// "data flags DATA_EVENTFD: an array of event file descriptors was sent in the message meta-data";
// a message without any takes vectors away.
TEST_F(VfioUser, VectorsAreConnectedInMessagesThatTheServerTakes) {
  std::vector<std::array<std::uint32_t, 4>> seen;
  server_.on(Command::kDeviceSetIrqs, [&](const Message& message) {
    seen.push_back({word(message, 4), word(message, 12), word(message, 16),
                    static_cast<std::uint32_t>(message.fds.size())});
    for (const auto& fd : message.fds) {
      const std::uint64_t one = 1;
      EXPECT_EQ(::write(fd.get(), &one, sizeof one), 8);
    }
    server_.behave(message);
  });
  open();
  std::vector<EventFd> events;
  std::vector<int> fds;
  for (int i = 0; i < 4; ++i) {
    events.push_back(EventFd::create().value());
    fds.push_back(events.back().fd());
  }
  fds.insert(fds.end(), {-1, -1});
  ASSERT_TRUE(device_->set_irq_fds(IrqType::kMsix, 1, fds));
  ASSERT_TRUE(device_->disable_irqs(IrqType::kMsix));
  ASSERT_TRUE(device_->disable_irqs(IrqType::kMsix));  // is off: nothing is sent
  constexpr std::uint32_t kConnect = 1U << 2 | 1U << 5;
  constexpr std::uint32_t kDisable = 1U << 0 | 1U << 5;
  // The server said max_msg_fds = 3.
  EXPECT_THAT(seen, ElementsAre(ElementsAre(kConnect, 1, 3, 3), ElementsAre(kConnect, 4, 1, 1),
                                ElementsAre(kConnect, 5, 2, 0), ElementsAre(kDisable, 0, 0, 0)));
  for (const auto& event : events) {
    EXPECT_TRUE(event.drain());
  }
}

// Vectors go in several messages: those before one that fails must not stay connected.
TEST_F(VfioUser, VectorsAreAllTakenAwayWhereTheServerRefusesSome) {
  int messages = 0;
  server_.on(Command::kDeviceSetIrqs, [&](const Message& message) {
    ++messages == 2 ? server_.answer_error(message, ENOSPC) : server_.behave(message);
  });
  open();
  std::vector<EventFd> events;
  std::vector<int> fds;
  for (int i = 0; i < 5; ++i) {
    events.push_back(EventFd::create().value());
    fds.push_back(events.back().fd());
  }
  EXPECT_FALSE(device_->set_irq_fds(IrqType::kMsix, 0, fds));
  EXPECT_EQ(messages, 3);
  EXPECT_EQ(word(server_.take_last(Command::kDeviceSetIrqs), 4), 1U << 0 | 1U << 5);
  ASSERT_TRUE(device_->disable_irqs(IrqType::kMsix));  // is off: nothing is sent
  EXPECT_EQ(messages, 3);
}

TEST_F(VfioUser, VectorsThatDoNotExistAreRefused) {
  open();
  const std::vector<int> fds(9, -1);
  EXPECT_FALSE(device_->set_irq_fds(IrqType::kMsix, 0, fds));
  EXPECT_FALSE(device_->set_irq_fds(IrqType::kMsix, 8, std::span(fds).first(1)));
  EXPECT_FALSE(device_->set_irq_fds(IrqType::kMsix, ~0U, std::span(fds).first(2)));
  EXPECT_FALSE(device_->set_irq_fds(IrqType::kMsix, 0, {}));
}

TEST_F(VfioUser, IntxIsMaskedAndUnmaskedByMessages) {
  open();
  ASSERT_TRUE(device_->set_intx_masked(true));
  EXPECT_EQ(word(server_.take_last(Command::kDeviceSetIrqs), 4), 1U << 0 | 1U << 3);
  ASSERT_TRUE(device_->set_intx_masked(false));
  EXPECT_EQ(word(server_.take_last(Command::kDeviceSetIrqs), 4), 1U << 0 | 1U << 4);
  const auto event = EventFd::create().value();
  ASSERT_TRUE(device_->set_intx_unmask_fd(event.fd()));
  const auto message = server_.take_last(Command::kDeviceSetIrqs);
  EXPECT_EQ(word(message, 4), 1U << 2 | 1U << 4);
  EXPECT_EQ(message.fds.size(), 1U);
}

// "VFIO_USER_DMA_MAP": argsz, flags (readable, writeable), offset, address, size, and the file.
TEST_F(VfioUser, MemoryIsGivenAsAFile) {
  open();
  const UniqueFd file(::memfd_create("memory", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 0x4000), 0);
  auto memory = MappedRegion::create({.fd = file.get(), .offset = 0x1000, .size = 0x2000});
  ASSERT_TRUE(memory);
  ASSERT_TRUE(device_->map_dma(
      Iova(0x100000), {.bytes = memory->bytes(), .fd = file.get(), .file_offset = 0x1000}));
  const auto message = server_.take_last(Command::kDmaMap);
  ASSERT_EQ(message.payload.size(), 32U);
  EXPECT_EQ(word(message, 0), 32U);
  EXPECT_EQ(word(message, 4), 3U);
  EXPECT_EQ(load_at<std::uint64_t>(message.payload, 8), 0x1000U);
  EXPECT_EQ(load_at<std::uint64_t>(message.payload, 16), 0x100000U);
  EXPECT_EQ(load_at<std::uint64_t>(message.payload, 24), 0x2000U);
  ASSERT_EQ(message.fds.size(), 1U);
  const std::byte value{0x42};
  ASSERT_EQ(::pwrite(message.fds.front().get(), &value, 1, 0x1005), 1);
  EXPECT_EQ(memory->bytes()[5], value);
  ASSERT_TRUE(device_->unmap_dma(Iova(0x100000), 0x2000));
  EXPECT_EQ(server_.take_last(Command::kDmaUnmap).payload.size(), 24U);
  EXPECT_FALSE(device_->map_dma(Iova(0), {.bytes = memory->bytes()}));
}

// Many servers do one thing at a time.
TEST_F(VfioUser, AccessWaitsAsLongAsTheResetThatKeepsTheServerBusy) {
  options_ = {.timeout = milliseconds(1000), .reset_timeout = milliseconds(60000)};
  std::promise<void> is_busy;
  server_.on(Command::kDeviceReset, [&](const Message& message) {
    is_busy.set_value();
    std::this_thread::sleep_for(options_.timeout + options_.timeout / 2);
    server_.behave(message);
  });
  open();
  auto reset = std::async(std::launch::async, [this] { return device_->slot_reset(); });
  is_busy.get_future().wait();
  std::array<std::byte, 4> ids{};
  EXPECT_TRUE(device_->read(RegionIndex::kConfig, 0, ids));
  EXPECT_TRUE(reset.get());
  EXPECT_FALSE(device_->is_gone());
}

TEST_F(VfioUser, SizeOfARegionIsAskedAnew) {
  open();
  EXPECT_EQ(device_->ask_region_size(RegionIndex::kBar0).value(), 0x10000U);
  EXPECT_EQ(device_->ask_region_size(RegionIndex::kBar1).value(), 0U);
  server_.bar0.resize(0x2000);
  EXPECT_EQ(device_->ask_region_size(RegionIndex::kBar0).value(), 0x2000U);
  EXPECT_EQ(device_->region(RegionIndex::kBar0).size, 0x10000U);
}

// The slot's reset is the protocol's; a function's is a write of Device Control.
TEST_F(VfioUser, BothResetsReachTheServer) {
  open();
  ASSERT_TRUE(device_->slot_reset());
  EXPECT_THAT(server_.commands(), ::testing::Contains(Command::kDeviceReset));
  ASSERT_TRUE(device_->function_reset());
  const auto write = server_.take_last(Command::kRegionWrite);
  EXPECT_EQ(load_at<std::uint64_t>(write.payload, 0), ScriptedServer::kExpress + 8U);
  EXPECT_EQ(load_at<std::uint16_t>(write.payload, 16), 0x8000U);
}

TEST_F(VfioUser, WithoutTheCapabilityThereIsNoFunctionReset) {
  store_le(std::span(server_.config).subspan(ScriptedServer::kExpress + 4, 4), 0);
  open();
  EXPECT_FALSE(device_->has_function_reset());
  EXPECT_FALSE(device_->function_reset());
}

TEST_F(VfioUser, WithoutTheFlagThereIsNoSlotReset) {
  server_.on(Command::kDeviceGetInfo, [this](const Message& message) {
    std::vector<int> fds;
    auto payload = server_.payload_for(message, fds);
    payload[4] = std::byte{2};  // VFIO_DEVICE_FLAGS_PCI alone
    server_.answer(message, payload);
  });
  open();
  EXPECT_FALSE(device_->slot_reset());
  std::vector<std::unique_ptr<VfioUserDevice>> devices;
  devices.push_back(std::move(device_));
  VfioUserHost host(std::move(devices));
  EXPECT_FALSE(host.hot_reset_set(host.device(0)));
}

// As the kernel does for its own functions: the guest's write returns when the function is back.
TEST_F(VfioUser, AGuestsFunctionResetIsWaitedFor) {
  std::atomic<int> not_ready{0};
  server_.on_change = [&] { not_ready = 3; };
  server_.on(Command::kRegionRead, [&](const Message& message) {
    std::vector<int> fds;
    auto payload = server_.payload_for(message, fds);
    if (not_ready > 0) {
      --not_ready;
      std::fill(payload.begin() + 16, payload.end(), std::byte{0xff});
    }
    server_.answer(message, payload);
  });
  open();
  const std::array<std::byte, 2> reset{std::byte{0x10}, std::byte{0x80}};
  ASSERT_TRUE(device_->write(RegionIndex::kConfig, ScriptedServer::kExpress + 8, reset));
  EXPECT_EQ(not_ready, 0);
}

TEST_F(VfioUser, AGuestsFunctionResetThatNeverEndsIsAnError) {
  std::atomic<bool> is_dead{false};
  server_.on_change = [&] { is_dead = true; };
  server_.on(Command::kRegionRead, [&](const Message& message) {
    std::vector<int> fds;
    auto payload = server_.payload_for(message, fds);
    if (is_dead) {
      std::fill(payload.begin() + 16, payload.end(), std::byte{0xff});
    }
    server_.answer(message, payload);
  });
  options_.reset_timeout = milliseconds(1500);
  open();
  const std::array<std::byte, 1> reset{std::byte{0x80}};
  const auto status = device_->write(RegionIndex::kConfig, ScriptedServer::kExpress + 9, reset);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().to_string(), HasSubstr("did not answer within 1500 ms"));
}

TEST_F(VfioUser, AHostOfServersHasOneSlotForEach) {
  open();
  std::vector<std::unique_ptr<VfioUserDevice>> devices;
  devices.push_back(std::move(device_));
  VfioUserHost host(std::move(devices));
  const auto set = host.hot_reset_set(host.device(0));
  ASSERT_TRUE(set);
  ASSERT_EQ(set->size(), 1U);
  EXPECT_EQ(set->front().name(), "/run/fake.sock");
  EXPECT_TRUE(host.hot_reset(host.device(0)));
  ScriptedServer other;
  const auto stranger = VfioUserDevice::adopt("other", other.start(), {});
  ASSERT_TRUE(stranger);
  EXPECT_FALSE(host.hot_reset_set(**stranger));
}

TEST_F(VfioUser, SocketsThatNobodyServesAreNamed) {
  const auto missing = VfioUserHost::open({"/nonexistent/gpu.sock"});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().to_string(),
              HasSubstr("Cannot reach a vfio-user server at /nonexistent/gpu.sock"));
  EXPECT_EQ(missing.error().kind(), ErrorKind::kConfig) << "as a kernel that is not there: 78";
  EXPECT_EQ(VfioUserHost::open({std::string(200, 'x')}).error().kind(), ErrorKind::kConfig);
}

// What stalls a vCPU is the whole of what it asked, however many messages that takes.
TEST_F(VfioUser, AServerThatAnswersJustInTimeStallsNoOperation) {
  server_.on(Command::kDeviceSetIrqs, [this](const Message& message) {
    std::this_thread::sleep_for(milliseconds(300));
    server_.behave(message);
  });
  options_.timeout = milliseconds(500);
  open();
  std::vector<EventFd> events;
  std::vector<int> fds;
  for (unsigned i = 0; i < 8; ++i) {  // three in each message
    events.push_back(EventFd::create().value());
    fds.push_back(events.back().fd());
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_FALSE(device_->set_irq_fds(IrqType::kMsix, 0, fds));
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(850));
  EXPECT_TRUE(device_->is_gone());
}

TEST_F(VfioUser, AFileOfABarCannotBecomeShorter) {
  open();
  EXPECT_NE(::fcntl(server_.bar2.get(), F_GET_SEALS) & F_SEAL_SHRINK, 0);
  EXPECT_NE(::ftruncate(server_.bar2.get(), 4096), 0);
  EXPECT_FALSE(device_->region(bar_region(2)).may_shrink);
}

TEST_F(VfioUser, AFileOfABarThatNobodyCanSealMayBecomeShorter) {
  server_.bar2 = UniqueFd(::memfd_create("bar2", MFD_CLOEXEC));
  const auto size = static_cast<off_t>(ScriptedServer::kBar2Offset + ScriptedServer::kBar2Size);
  ASSERT_EQ(::ftruncate(server_.bar2.get(), size), 0);
  open();
  EXPECT_TRUE(device_->region(bar_region(2)).may_shrink);
}

TEST_F(VfioUser, ADeviceIsNoMemoryOfABar) {
  server_.bar2 = UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  const auto opened = VfioUserDevice::adopt("/run/fake.sock", server_.start(), options_);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().to_string(), HasSubstr("is no memory"));
}

}  // namespace
}  // namespace gpuvm::test::vfio_user_device_test
