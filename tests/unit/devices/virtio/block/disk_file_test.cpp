// SPDX-License-Identifier: Apache-2.0
// DiskFile on files of the host, and a guest's requests all the way to one.
#include "devices/virtio/block/disk_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "devices/virtio/block/block_device.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"

namespace gpuvm::disk_file_test {
namespace {

class DiskFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "disk-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/image";
    ASSERT_EQ(::truncate(make(path_).c_str(), 1_MiB), 0);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static std::string make(const std::string& path, const std::string& text = "") {
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::unique_ptr<DiskFile> open(bool read_only = false) {
    auto disk = DiskFile::open({path_, read_only});
    EXPECT_TRUE(disk) << disk.error().to_string();
    return disk ? std::move(disk).value() : nullptr;
  }
  static void expect_refused(const std::string& path, ErrorKind kind, std::string_view text,
                             bool read_only = false) {
    const auto disk = DiskFile::open({path, read_only});
    ASSERT_FALSE(disk) << path;
    EXPECT_EQ(disk.error().kind(), kind) << disk.error().to_string();
    EXPECT_NE(disk.error().message().find(path), std::string::npos) << disk.error().message();
    EXPECT_NE(disk.error().message().find(text), std::string::npos) << disk.error().message();
  }

  std::string directory_;
  std::string path_;
};

TEST_F(DiskFileTest, WritesAndReadsPieces) {
  const auto disk = open();
  ASSERT_NE(disk, nullptr);
  EXPECT_EQ(disk->geometry().size, 1_MiB);
  EXPECT_EQ(disk->geometry().block_size, 512U);
  std::array<std::uint8_t, 1024> out{};
  std::iota(out.begin(), out.end(), std::uint8_t{1});
  const std::array<iovec, 2> pieces = {{{out.data(), 700}, {out.data() + 700, 324}}};
  ASSERT_TRUE(disk->write(512, pieces));
  ASSERT_TRUE(disk->flush());
  std::array<std::uint8_t, 1024> in{};
  const std::array<iovec, 2> back = {{{in.data(), 1}, {in.data() + 1, 1023}}};
  ASSERT_TRUE(disk->read(512, back));
  EXPECT_EQ(in, out);
}

TEST_F(DiskFileTest, ZeroesAndDiscards) {
  std::ofstream(path_, std::ios::binary) << std::string(1_MiB, 'x');
  const auto disk = open();
  ASSERT_NE(disk, nullptr);
  ASSERT_TRUE(disk->write_zeroes(4096, 8192, Unmap::kNo));
  ASSERT_TRUE(disk->write_zeroes(65536, 65536, Unmap::kYes));
  ASSERT_TRUE(disk->discard(524288, 65536));
  std::vector<char> bytes(1_MiB);
  const iovec all{.iov_base = bytes.data(), .iov_len = bytes.size()};
  ASSERT_TRUE(disk->read(0, {&all, 1}));
  const auto zeroes = [&](std::size_t from, std::size_t to) {
    return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                       bytes.begin() + static_cast<std::ptrdiff_t>(to),
                       [](char c) { return c == 0; });
  };
  EXPECT_TRUE(zeroes(4096, 12288));
  EXPECT_TRUE(zeroes(65536, 131072));
  EXPECT_EQ(bytes[4095], 'x');
  EXPECT_EQ(bytes[12288], 'x');
  EXPECT_EQ(bytes[131072], 'x');
  EXPECT_EQ(std::filesystem::file_size(path_), 1_MiB);
}

TEST_F(DiskFileTest, AFileThatIsCutInUseGivesErrors) {
  const auto disk = open();
  ASSERT_NE(disk, nullptr);
  ASSERT_EQ(::truncate(path_.c_str(), 4096), 0);
  std::array<std::byte, 8192> bytes{};
  const iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
  const auto status = disk->read(0, {&piece, 1});
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message().find("ends at 0x1000"), std::string::npos);
}

TEST_F(DiskFileTest, OneWriterOrManyReaders) {
  {
    const auto writer = open();
    expect_refused(path_, ErrorKind::kHost, "is in use by another guest");
    expect_refused(path_, ErrorKind::kHost, "is in use by another guest", true);
  }
  const auto first = open(true);
  const auto second = open(true);
  EXPECT_TRUE(first && second);
  expect_refused(path_, ErrorKind::kHost, "readonly = true");
}

TEST_F(DiskFileTest, AReadOnlyDiskIsNotOpenForWriting) {
  const auto disk = open(true);
  ASSERT_NE(disk, nullptr);
  EXPECT_TRUE(disk->geometry().read_only);
  std::array<std::byte, 512> bytes{};
  const iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
  EXPECT_TRUE(disk->read(0, {&piece, 1}));
  EXPECT_FALSE(disk->write(0, {&piece, 1}));
}

TEST_F(DiskFileTest, FilesThatAreNoDisk) {
  expect_refused(directory_ + "/absent", ErrorKind::kConfig, "There is no");
  expect_refused(directory_ + "/absent", ErrorKind::kConfig, "scripts/make-image");
  expect_refused(path_ + "/x", ErrorKind::kConfig, "There is no");
  for (const bool read_only : {false, true}) {
    expect_refused(directory_, ErrorKind::kConfig, "is a directory", read_only);
  }
  expect_refused(make(directory_ + "/empty"), ErrorKind::kConfig, "has 0 bytes");
  expect_refused(make(directory_ + "/odd", std::string(1000, ' ')), ErrorKind::kConfig,
                 "has 1000 bytes");
  expect_refused(make(directory_ + "/cow", "QFI\xfb" + std::string(508, '\0')), ErrorKind::kConfig,
                 "is a qcow2 image");
  // Those of other formats have any size; truncate would be no cure.
  for (const std::size_t rest : {196U, 508U, 1000U}) {
    expect_refused(
        make(directory_ + "/cow-" + std::to_string(rest), "QFI\xfb" + std::string(rest, '\0')),
        ErrorKind::kConfig, "set format = \"qcow2\"");
  }
  expect_refused(make(directory_ + "/hx", "vhdxfile" + std::string(504, '\0')), ErrorKind::kConfig,
                 "set format = \"vhdx\"");
  expect_refused(make(directory_ + "/vm", "KDMV" + std::string(508, '\0')), ErrorKind::kConfig,
                 "is a vmdk image");
  expect_refused(
      make(directory_ + "/vd", std::string(64, '<') + "\x7f\x10\xda\xbe" + std::string(444, '\0')),
      ErrorKind::kConfig, "is a vdi image");
  ASSERT_EQ(::mkfifo((directory_ + "/fifo").c_str(), 0600), 0);
  expect_refused(directory_ + "/fifo", ErrorKind::kConfig, "a raw image file", true);
  expect_refused("/dev/null", ErrorKind::kConfig, "a raw image file");
}

// A FIFO lets its writer go on, a tape rewinds: what is no disk is not opened to find that out.
TEST_F(DiskFileTest, WhatIsNoDiskIsNotOpened) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd events(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(events.get(), fifo.c_str(), IN_OPEN), 0);
  expect_refused(fifo, ErrorKind::kConfig, "a raw image file");
  std::array<char, 4096> seen{};
  EXPECT_LT(::read(events.get(), seen.data(), seen.size()), 0);
}

/// Somebody who is neither root nor the owner of files, for this thread's file accesses.
class Nobody {
 public:
  Nobody() { ::setfsuid(65534); }
  ~Nobody() { ::setfsuid(::geteuid()); }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;
};

TEST_F(DiskFileTest, WithoutPermission) {
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0444), 0);
  const Nobody nobody;  // where the test is not root, this changes nothing, and 0444 is enough
  expect_refused(path_, ErrorKind::kConfig, "or set readonly = true");
  EXPECT_NE(open(true), nullptr);
  const auto look = DiskFile::open({path_, false, DiskFile::Use::kLook});
  EXPECT_EQ(look.has_value(), ::geteuid() == 0) << "access(2) asks for the real user";
}

TEST_F(DiskFileTest, ALookLocksNothing) {
  const DiskFile::Options look{path_, false, DiskFile::Use::kLook};
  {
    const auto looking = DiskFile::open(look);
    ASSERT_TRUE(looking);
    EXPECT_NE(open(false), nullptr) << "a guest can have it meanwhile";
  }
  const auto guest = open(false);
  const auto looking = DiskFile::open(look);
  ASSERT_FALSE(looking);
  EXPECT_NE(looking.error().message().find("in use by another guest"), std::string::npos);
}

/// A disk as the guest has it.
class GuestDisk {
 public:
  explicit GuestDisk(Disk& disk) : device_("disk-0", "serial", disk) {
    function_ = VirtioPci::create(machine_.options(device_)).value();
    driver.emplace(machine_, *function_);
    driver->bring_up();
  }
  /// Offers a request of 4 KiB at 0x100000 and waits; the status.
  std::uint8_t request(std::uint32_t type, std::uint64_t sector) {
    auto& ring = driver->ring;
    ring.put(0x8000, virtio_block::RequestHeader{.type = type, .sector = sector});
    const std::uint16_t data_flags = type == 0 ? virtio::kDescriptorWrite : 0;
    const std::uint32_t length = type < 2 ? 4096 : 0;
    ring.chain(0, {{0x8000, 16, 0, 0},
                   {0x100000, length, data_flags, 0},
                   {0x9000, 1, virtio::kDescriptorWrite, 0}});
    ring.offer(0);
    driver->kick();
    EXPECT_TRUE(driver->wait_used(++used_));
    return ring.get<std::uint8_t>(0x9000);
  }

 private:
  test::FakeMachine machine_;
  BlockDevice device_;
  std::unique_ptr<VirtioPci> function_;
  std::uint16_t used_ = 0;

 public:
  std::optional<test::FunctionDriver> driver;
};

TEST_F(DiskFileTest, AGuestsBytesAreInTheFile) {
  const auto disk = open();
  ASSERT_NE(disk, nullptr);
  GuestDisk guest(*disk);
  auto& ring = guest.driver->ring;
  ring.put<std::uint64_t>(0x100000, 0x1122334455667788);
  ring.put<std::uint64_t>(0x100ff8, 0x99aabbccddeeff00);
  EXPECT_EQ(guest.request(1, 16), 0U);
  EXPECT_EQ(guest.request(4, 0), 0U);
  std::ifstream file(path_, std::ios::binary);
  std::array<char, 8> bytes{};
  file.seekg(8192);
  file.read(bytes.data(), bytes.size());
  EXPECT_EQ(load_le(std::as_bytes(std::span(bytes))), 0x1122334455667788U);
  file.seekg(8192 + 4088);
  file.read(bytes.data(), bytes.size());
  EXPECT_EQ(load_le(std::as_bytes(std::span(bytes))), 0x99aabbccddeeff00U);
  ring.put<std::uint64_t>(0x100000, 0);
  EXPECT_EQ(guest.request(0, 16), 0U);
  EXPECT_EQ(ring.get<std::uint64_t>(0x100000), 0x1122334455667788U);
  EXPECT_EQ(guest.request(0, 2041), 1U);  // past the end
}

TEST_F(DiskFileTest, AGuestCannotWriteAReadOnlyFile) {
  const auto disk = open(true);
  ASSERT_NE(disk, nullptr);
  GuestDisk guest(*disk);
  EXPECT_NE(guest.driver->offered() & virtio_block::kFeatureReadOnly, 0U);
  EXPECT_EQ(guest.request(1, 0), 1U);
  EXPECT_EQ(guest.request(0, 0), 0U);
}

}  // namespace
}  // namespace gpuvm::disk_file_test
