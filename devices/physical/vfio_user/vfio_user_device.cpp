// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio_user/vfio_user_device.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;
using vfio_user::Bytes;
using vfio_user::Command;

/// Room for the answer about a region: some sixty areas at once, at most about four thousand.
constexpr std::uint32_t kRegionRoom = 1024;
constexpr std::uint32_t kMaxRegionRoom = 64 * 1024;
// PCI Express Base 6.0, 6.6.2: a function needs not answer for so long after a function level
// reset.
constexpr milliseconds kResetTime{100};
constexpr milliseconds kReadyPause{20};

template <class T>
Bytes bytes_of(const T& value) {
  Bytes bytes;
  append_bytes(bytes, value);
  return bytes;
}

std::uint64_t mapped_end(const RegionInfo& info) {
  std::uint64_t end = info.sparse_areas.empty() ? info.size : 0;
  for (const RegionArea& area : info.sparse_areas) {
    end = std::max(end, area.offset + area.size);
  }
  return end;
}

/// Nobody makes the file shorter from now on, where it can be sealed: memory of
/// memfd_create(2) with MFD_ALLOW_SEALING. False: its server is trusted with it, as the log says.
bool keep_size(int fd, const std::string& name) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  const bool is_kept =
      seals >= 0 && ((seals & F_SEAL_SHRINK) != 0 || ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  if (!is_kept) {
    log::info(
        "{}: Its server can make the file of a BAR shorter, which would end the guest: a memfd "
        "with "
        "MFD_ALLOW_SEALING could be sealed",
        name);
  }
  return is_kept;
}

/// A guest that touches a mapping past the end of its file ends with an error: never map that. Nor
/// devices, whose driver would serve the guest.
Status check_file(int fd, const vfio_user::ParsedRegion& region) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot look at the file of a region");
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::kHost,
                "The vfio-user server's file of a region is no memory: let it send a memfd");
  }
  const std::uint64_t end = region.file_offset + mapped_end(region.info);
  if (static_cast<std::uint64_t>(status.st_size) < end) {
    return fail(
        ErrorKind::kHost,
        "The vfio-user server's file of a region has {:#x} bytes, but {:#x} would be mapped",
        status.st_size, end);
  }
  if (!is_aligned(region.file_offset, kPageSize)) {
    return fail(ErrorKind::kHost, "The vfio-user server's region begins inside a page of its file");
  }
  return {};
}

}  // namespace

VfioUserDevice::VfioUserDevice(std::string name, const Options& options)
    : name_(std::move(name)), options_(options), regions_(name_) {}

Result<std::unique_ptr<VfioUserDevice>> VfioUserDevice::connect(const std::string& path,
                                                                const Options& options) {
  std::unique_ptr<VfioUserDevice> device(new VfioUserDevice(path, options));
  TRY(device->open(TRY(vfio_user::MessageSocket::connect(path))));
  return device;
}

Result<std::unique_ptr<VfioUserDevice>> VfioUserDevice::adopt(const std::string& name,
                                                              UniqueFd socket,
                                                              const Options& options) {
  std::unique_ptr<VfioUserDevice> device(new VfioUserDevice(name, options));
  TRY(device->open(vfio_user::MessageSocket(std::move(socket))));
  return device;
}

Status VfioUserDevice::open(vfio_user::MessageSocket socket) {
  connection_ = TRY_CONTEXT(
      vfio_user::Connection::create(
          std::move(socket),
          {.name = name_, .timeout = options_.timeout, .on_lost = [this] { note_lost(); }}),
      "Opening " + name_);
  TRY_CONTEXT(load_info(), "Opening " + name_);
  return {};
}

template <class T>
Result<T> VfioUserDevice::trust(Result<T> parsed) {
  if (!parsed) {
    connection_->lose(parsed.error().to_string());
  }
  return parsed;
}

Status VfioUserDevice::load_info() {
  const auto request = bytes_of(vfio_user::DeviceInfo{sizeof(vfio_user::DeviceInfo), 0, 0, 0});
  const auto reply = TRY(connection_->call(Command::kDeviceGetInfo, request, {},
                                           {.payload = sizeof(vfio_user::DeviceInfo)}));
  summary_ = TRY(vfio_user::parse_device_info(reply.payload));
  vfio_user::Operation operation(options_.timeout);
  for (std::uint32_t i = 0; i < RegionTable::bounded(summary_.regions); ++i) {
    TRY(load_region(static_cast<RegionIndex>(i), operation));
  }
  const auto& config = region(RegionIndex::kConfig);
  if (!config.readable || !config.writable) {
    return fail(ErrorKind::kHost, "The vfio-user server has no configuration space to offer");
  }
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(summary_.irqs, kIrqTypeCount); ++i) {
    TRY(load_irq(static_cast<IrqType>(i), operation));
  }
  return find_function_reset();
}

Result<vfio_user::Connection::Reply> VfioUserDevice::ask_region(RegionIndex index,
                                                                std::uint32_t room,
                                                                vfio_user::Operation& operation,
                                                                int& refusal) {
  const auto request =
      bytes_of(vfio_user::Region{room, 0, static_cast<std::uint32_t>(index), 0, 0, 0});
  return connection_->call(Command::kDeviceGetRegionInfo, request, {}, {.payload = room, .fds = 1},
                           operation, refusal);
}

Result<std::uint64_t> VfioUserDevice::ask_region_size(RegionIndex index) {
  int refusal = 0;
  vfio_user::Operation operation(options_.timeout);
  const auto reply = ask_region(index, kRegionRoom, operation, refusal);
  if (!reply && refusal == EINVAL) {
    return std::uint64_t{0};
  }
  if (!reply) {
    return reply.error();
  }
  return TRY(trust(vfio_user::parse_region(reply->payload, index))).info.size;
}

Status VfioUserDevice::load_region(RegionIndex index, vfio_user::Operation& operation) {
  int refusal = 0;
  auto reply = ask_region(index, kRegionRoom, operation, refusal);
  if (!reply && refusal == EINVAL) {
    return {};  // a region that is not there
  }
  if (!reply) {
    return std::move(reply).error();
  }
  auto parsed = TRY(vfio_user::parse_region(reply->payload, index));
  if (parsed.needed > reply->payload.size() && parsed.needed <= kMaxRegionRoom) {
    reply = TRY(ask_region(index, parsed.needed, operation, refusal));
    parsed = TRY(vfio_user::parse_region(reply->payload, index));
  }
  if (parsed.needed > reply->payload.size()) {
    return fail(ErrorKind::kHost, "The vfio-user server's answer about region {} keeps growing",
                static_cast<std::uint32_t>(index));
  }
  if (parsed.info.mappable && parsed.info.size != 0) {
    if (reply->fds.empty()) {
      return fail(ErrorKind::kHost,
                  "The vfio-user server lets region {} be mapped, but sent no file for it",
                  static_cast<std::uint32_t>(index));
    }
    TRY(check_file(reply->fds.front().get(), parsed));
    parsed.info.may_shrink = !keep_size(reply->fds.front().get(), name_);
  }
  const bool has_file = parsed.info.mappable && parsed.info.size != 0;
  return regions_.set(index, std::move(parsed.info),
                      {.file_offset = parsed.file_offset,
                       .file = has_file ? std::move(reply->fds.front()) : UniqueFd()});
}

Status VfioUserDevice::load_irq(IrqType type, vfio_user::Operation& operation) {
  const auto request =
      bytes_of(vfio_user::Irq{sizeof(vfio_user::Irq), 0, static_cast<std::uint32_t>(type), 0});
  int refusal = 0;
  const auto reply = connection_->call(Command::kDeviceGetIrqInfo, request, {},
                                       {.payload = sizeof(vfio_user::Irq)}, operation, refusal);
  if (!reply && refusal == EINVAL) {
    return {};  // a type that is not there
  }
  if (!reply) {
    return reply.error();
  }
  irqs_.at(static_cast<std::size_t>(type)).info = TRY(vfio_user::parse_irq(reply->payload, type));
  return {};
}

Status VfioUserDevice::find_function_reset() {
  std::array<std::byte, pci::kLegacyConfigSize> config{};
  TRY(read(RegionIndex::kConfig, 0, config));
  const std::size_t express =
      find_capability(config, static_cast<std::uint8_t>(pci::CapabilityId::kPciExpress));
  const auto offers =
      load_at<std::uint32_t>(config, express + pci::kExpressDeviceCapabilities).value_or(0);
  const std::uint64_t control = express + pci::kExpressDeviceControl;
  if (express != 0 && (offers & pci::kDeviceResetCapable) != 0 && control + 2 <= config.size()) {
    device_control_ = control;
  }
  return {};
}

Status VfioUserDevice::read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) {
  TRY(regions_.locate_read(index, offset, out.size()));
  vfio_user::Operation operation(options_.timeout);
  while (!out.empty()) {
    const auto piece =
        out.first(std::min<std::size_t>(out.size(), connection_->limits().transfer_size));
    TRY(read_piece(index, offset, piece, operation));
    out = out.subspan(piece.size());
    offset += piece.size();
  }
  return {};
}

Status VfioUserDevice::read_piece(RegionIndex index, std::uint64_t offset, std::span<std::byte> out,
                                  vfio_user::Operation& operation) {
  const vfio_user::RegionAccess asked{offset, static_cast<std::uint32_t>(index),
                                      static_cast<std::uint32_t>(out.size())};
  const auto reply = TRY(connection_->call(Command::kRegionRead, bytes_of(asked), {},
                                           {.payload = sizeof asked + out.size()}, operation));
  const auto data = TRY(trust(vfio_user::parse_region_read(reply.payload, asked)));
  std::copy(data.begin(), data.end(), out.begin());
  return {};
}

Status VfioUserDevice::write(RegionIndex index, std::uint64_t offset,
                             std::span<const std::byte> in) {
  TRY(regions_.locate_write(index, offset, in.size()));
  const bool resets = begins_function_reset(index, offset, in);
  vfio_user::Operation operation(resets ? options_.reset_timeout : options_.timeout);
  while (!in.empty()) {
    const auto piece =
        in.first(std::min<std::size_t>(in.size(), connection_->limits().transfer_size));
    TRY(write_piece(index, offset, piece, operation));
    in = in.subspan(piece.size());
    offset += piece.size();
  }
  return resets ? wait_until_ready() : Status();
}

Status VfioUserDevice::write_piece(RegionIndex index, std::uint64_t offset,
                                   std::span<const std::byte> in, vfio_user::Operation& operation) {
  const vfio_user::RegionAccess asked{offset, static_cast<std::uint32_t>(index),
                                      static_cast<std::uint32_t>(in.size())};
  auto request = bytes_of(asked);
  request.insert(request.end(), in.begin(), in.end());
  const auto reply = TRY(
      connection_->call(Command::kRegionWrite, request, {}, {.payload = sizeof asked}, operation));
  return trust(vfio_user::parse_region_write(reply.payload, asked));
}

// A write of Device Control's upper byte, alone or with its neighbours.
bool VfioUserDevice::begins_function_reset(RegionIndex index, std::uint64_t offset,
                                           std::span<const std::byte> in) const {
  const std::uint64_t upper = device_control_ + 1;
  return index == RegionIndex::kConfig && device_control_ != 0 && offset <= upper &&
         upper - offset < in.size() &&
         (std::to_integer<unsigned>(in[upper - offset]) & pci::kDeviceControlInitiateReset >> 8) !=
             0;
}

Status VfioUserDevice::wait_until_ready() {
  const auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(kResetTime);
  for (;;) {
    std::array<std::byte, 2> vendor{};
    TRY(read(RegionIndex::kConfig, 0, vendor));
    const auto id = load_le(vendor);
    if (id != pci::kNoVendor && id != pci::kVendorNotReady) {
      return {};
    }
    if (std::chrono::steady_clock::now() - start >= options_.reset_timeout) {
      return fail(ErrorKind::kHost, "{} did not answer within {} ms after its function reset",
                  name_, options_.reset_timeout.count());
    }
    std::this_thread::sleep_for(kReadyPause);
  }
}

// Whether it is ready again is for the caller to find out.
Status VfioUserDevice::function_reset() {
  if (device_control_ == 0) {
    return fail(ErrorKind::kHost, "{} has no function level reset", name_);
  }
  std::array<std::byte, 2> control{};
  TRY(read(RegionIndex::kConfig, device_control_, control));
  store_le(control, load_le(control) | pci::kDeviceControlInitiateReset);
  vfio_user::Operation operation(options_.reset_timeout);
  TRY_CONTEXT(write_piece(RegionIndex::kConfig, device_control_, control, operation),
              "Function reset");
  std::this_thread::sleep_for(kResetTime);
  return {};
}

Status VfioUserDevice::slot_reset() {
  if (!has_slot_reset()) {
    return fail(ErrorKind::kHost, "The vfio-user server offers no reset of {}", name_);
  }
  TRY_CONTEXT(connection_->call(Command::kDeviceReset, {}, {}, {}, options_.reset_timeout),
              "Slot reset");
  return {};
}

Status VfioUserDevice::map_dma(Iova at, const DmaMemory& memory) {
  if (memory.fd < 0) {
    return fail(ErrorKind::kInternal, "Memory without a file cannot be shared with {}", name_);
  }
  const auto request = bytes_of(vfio_user::DmaMap{
      sizeof(vfio_user::DmaMap), vfio_user::kDmaReadable | vfio_user::kDmaWritable,
      memory.file_offset, at.value(), memory.bytes.size()});
  TRY(connection_->call(Command::kDmaMap, request, {&memory.fd, 1}, {}));
  return {};
}

Status VfioUserDevice::unmap_dma(Iova at, std::uint64_t size) {
  const vfio_user::DmaUnmap asked{sizeof(vfio_user::DmaUnmap), 0, at.value(), size};
  TRY(connection_->call(Command::kDmaUnmap, bytes_of(asked), {}, {.payload = sizeof asked}));
  return {};
}

}  // namespace gpuvm
