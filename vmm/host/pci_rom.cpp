// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/pci_rom.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kLargestRom = std::size_t{16} << 20;
constexpr std::size_t kChunk = 65536;
constexpr std::string_view kVfct = "/sys/firmware/acpi/tables/VFCT";

/// To the end, whatever size the file claims: sysfs gives a ROM's as that of its BAR.
Result<std::vector<std::byte>> read_to_end(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot open " + path);
  }
  std::vector<std::byte> bytes;
  while (bytes.size() <= kLargestRom) {
    const auto before = bytes.size();
    bytes.resize(before + kChunk);
    const ssize_t got = ::read(fd.get(), bytes.data() + before, kChunk);
    const int error = errno;
    bytes.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got == 0) {
      return bytes;
    }
    if (got < 0 && error != EINTR) {
      errno = error;
      return fail_errno(ErrorKind::kHost, "Cannot read " + path);
    }
  }
  return fail(ErrorKind::kHost, "{} has more than {} bytes", path, kLargestRom);
}

/// An attribute that is 1 while this lives.
class SwitchedOn {
 public:
  SwitchedOn(const HostSystem& host, std::string attribute)
      : host_(host), attribute_(std::move(attribute)), status_(host.write(attribute_, "1")) {}
  ~SwitchedOn() {
    if (status_ && !host_.write(attribute_, "0")) {
      log::debug("{} stays 1", attribute_);
    }
  }
  SwitchedOn(const SwitchedOn&) = delete;
  SwitchedOn& operator=(const SwitchedOn&) = delete;
  const Status& status() const { return status_; }

 private:
  const HostSystem& host_;
  const std::string attribute_;
  const Status status_;
};

Result<std::vector<std::byte>> read_sysfs_rom(const HostSystem& host, const Bdf& bdf) {
  const auto attribute = pci_sysfs_path(bdf, "rom");
  const auto enable = pci_sysfs_path(bdf, "enable");
  if (!host.exists(attribute)) {
    return fail(ErrorKind::kHost, "there is no {}", host.path(attribute));
  }
  std::optional<SwitchedOn> decode;
  if (host.read_number(enable) == 0) {
    decode.emplace(host, enable);
    TRY(decode->status());
  }
  const SwitchedOn rom(host, attribute);
  TRY(rom.status());
  auto bytes = TRY(read_to_end(host.path(attribute)));
  if (bytes.empty()) {
    return fail(ErrorKind::kHost, "{} is empty", host.path(attribute));
  }
  return bytes;
}

}  // namespace

std::vector<std::byte> find_vfct_image(std::span<const std::byte> table, const Bdf& bdf) {
  constexpr std::size_t kFirstImage = 36 + 16;  // behind the ACPI header and a UUID
  constexpr std::size_t kHeaderSize = 28;
  std::size_t at = load_at<std::uint32_t>(table, kFirstImage).value_or(0);
  while (at != 0 && at < table.size() && table.size() - at >= kHeaderSize) {
    const auto header = table.subspan(at);
    const std::size_t length = load_at<std::uint32_t>(header, 24).value_or(0);
    const bool same = load_at<std::uint32_t>(header, 0) == bdf.bus &&
                      load_at<std::uint32_t>(header, 4) == bdf.device &&
                      load_at<std::uint32_t>(header, 8) == bdf.function;
    if (length > header.size() - kHeaderSize) {
      break;
    }
    const auto image = header.subspan(kHeaderSize, length);
    if (same && bdf.segment == 0 && length != 0) {
      return {image.begin(), image.end()};
    }
    at += kHeaderSize + length;
  }
  return {};
}

Result<HostRom> read_host_rom(const HostSystem& host, const Bdf& bdf) {
  auto rom = read_sysfs_rom(host, bdf);
  if (rom) {
    return HostRom{std::move(rom).value(), host.path(pci_sysfs_path(bdf, "rom"))};
  }
  if (host.exists(kVfct)) {
    const auto table = read_to_end(host.path(kVfct));
    auto image = table ? find_vfct_image(*table, bdf) : std::vector<std::byte>();
    if (!image.empty()) {
      return HostRom{std::move(image), host.path(kVfct)};
    }
  }
  return fail(ErrorKind::kHost,
              "The host has no option ROM of {}: {}; the ACPI table VFCT has none", bdf.to_string(),
              rom.error().to_string());
}

}  // namespace gpuvm
