// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/fw_cfg.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kDataOffset = 1;
constexpr std::uint64_t kDmaHighOffset = 4;
constexpr std::uint64_t kDmaLowOffset = 8;
/// Revision: bit 0 the selector and data ports, bit 1 DMA.
constexpr std::uint32_t kRevisionWithDma = 3;
constexpr std::size_t kDescriptorSize = 16;
constexpr std::size_t kDirectoryNameSize = fw_cfg::kLongestName + 1;

class Bytes : public FwCfgItem {
 public:
  explicit Bytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  bool read(std::uint64_t offset, std::span<std::byte> out) const override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return true;
  }

 private:
  const std::vector<std::byte> bytes_;
};

std::uint64_t load_be(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) {
    value = value << 8 | std::to_integer<std::uint64_t>(byte);
  }
  return value;
}

void store_be(std::span<std::byte> bytes, std::uint64_t value) {
  for (std::size_t i = bytes.size(); i > 0; --i, value >>= 8) {
    bytes[i - 1] = static_cast<std::byte>(value & 0xff);
  }
}

std::vector<std::byte> text_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

FwCfg::FwCfg(const GuestMemory& memory) : memory_(memory) {
  add(fw_cfg::kSignature, text_bytes("QEMU"));
  add_number(fw_cfg::kRevision, kRevisionWithDma, 4);
}

void FwCfg::add(std::uint16_t key, std::unique_ptr<FwCfgItem> item) {
  const MutexLock lock(mutex_);
  set(key, std::move(item));
}

void FwCfg::set(std::uint16_t key, std::unique_ptr<FwCfgItem> item) {
  items_[key] = std::move(item);
}

void FwCfg::add(std::uint16_t key, std::vector<std::byte> bytes) {
  add(key, std::make_unique<Bytes>(std::move(bytes)));
}

void FwCfg::add_number(std::uint16_t key, std::uint64_t value, unsigned size) {
  std::vector<std::byte> bytes(size);
  store_le(bytes, value);
  add(key, std::move(bytes));
}

Status FwCfg::add_file(const std::string& name, std::unique_ptr<FwCfgItem> item) {
  const MutexLock lock(mutex_);
  return set_file(name, std::move(item));
}

Status FwCfg::set_file(const std::string& name, std::unique_ptr<FwCfgItem> item) {
  if (name.empty() || name.size() > fw_cfg::kLongestName) {
    return fail(ErrorKind::kInternal, "fw_cfg cannot have a file of the name \"{}\"", name);
  }
  const auto next = static_cast<std::uint16_t>(fw_cfg::kFirstFile + files_.size());
  set(files_.try_emplace(name, next).first->second, std::move(item));
  return {};
}

Status FwCfg::add_file(const std::string& name, std::vector<std::byte> bytes) {
  return add_file(name, std::make_unique<Bytes>(std::move(bytes)));
}

/// A count, then for each file size, key (both big-endian), two zero bytes and the name.
std::vector<std::byte> FwCfg::directory() const {
  std::vector<std::byte> out(4 + files_.size() * (8 + kDirectoryNameSize));
  store_be(std::span(out).first(4), files_.size());
  std::size_t at = 4;
  for (const auto& [name, key] : files_) {
    const auto entry = std::span(out).subspan(at, 8 + kDirectoryNameSize);
    store_be(entry.first(4), items_.at(key)->size());
    store_be(entry.subspan(4, 2), key);
    std::copy_n(text_bytes(name).begin(), name.size(), entry.begin() + 8);
    at += entry.size();
  }
  return out;
}

/// Before select(), without the lock: making tables takes locks of other devices.
void FwCfg::prepare(std::uint16_t key) {
  if (key != fw_cfg::kDirectory || !before_directory_) {
    return;
  }
  const MutexLock turn(making_);
  auto files = before_directory_();
  const MutexLock lock(mutex_);
  for (File& file : files) {
    (void)set_file(file.name, std::make_unique<Bytes>(std::move(file.bytes)));
  }
}

void FwCfg::select(std::uint16_t key) {
  if (key == fw_cfg::kDirectory) {
    set(fw_cfg::kDirectory, std::make_unique<Bytes>(directory()));
  }
  state_.selected = key;
  state_.offset = 0;
  if (items_.contains(key)) {
    ++selections_[key];
  }
}

const FwCfgItem* FwCfg::selected() const {
  const auto found = items_.find(state_.selected);
  return found == items_.end() ? nullptr : found->second.get();
}

bool FwCfg::read_next(std::span<std::byte> out) {
  const auto* item = selected();
  const std::uint64_t size = item == nullptr ? 0 : item->size();
  const std::uint64_t left = size - std::min(size, state_.offset);
  const auto there = out.first(std::min<std::uint64_t>(left, out.size()));
  const bool good = there.empty() || item->read(state_.offset, there);
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(good ? there.size() : 0), out.end(),
            std::byte{0});
  state_.offset += there.size();
  return good;
}

IoStatus FwCfg::read(std::uint64_t offset, std::span<std::byte> out) {
  const MutexLock lock(mutex_);
  if (offset == kDataOffset && out.size() == 1) {
    return read_next(out) ? IoStatus::kOk : IoStatus::kNoResponse;
  }
  // The DMA address register reads as a second signature, big-endian as all of it.
  if ((offset == kDmaHighOffset || offset == kDmaLowOffset) && out.size() == 4) {
    const auto text = text_bytes(offset == kDmaHighOffset ? "QEMU" : " CFG");
    std::copy(text.begin(), text.end(), out.begin());
    return IoStatus::kOk;
  }
  return IoStatus::kInvalidRegister;
}

IoStatus FwCfg::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (offset == 0 && in.size() == 2) {
    const auto key = static_cast<std::uint16_t>(load_le(in));
    prepare(key);
    const MutexLock lock(mutex_);
    select(key);
    return IoStatus::kOk;
  }
  if ((offset != kDmaHighOffset && offset != kDmaLowOffset) || in.size() != 4) {
    return IoStatus::kInvalidRegister;
  }
  if (const auto descriptor = write_dma_address(offset, static_cast<std::uint32_t>(load_be(in)))) {
    run_dma(*descriptor);
  }
  return IoStatus::kOk;
}

/// The low half, written last, makes it whole.
std::optional<GuestAddress> FwCfg::write_dma_address(std::uint64_t offset, std::uint32_t value) {
  const MutexLock lock(mutex_);
  if (offset == kDmaHighOffset) {
    state_.dma_address_high = value;
    return std::nullopt;
  }
  const std::uint64_t high = std::exchange(state_.dma_address_high, 0);
  return GuestAddress(high << 32 | value);
}

/// Reads the descriptor once; its control word is written last, as the sign of the end.
void FwCfg::run_dma(GuestAddress descriptor) {
  std::array<std::byte, kDescriptorSize> bytes{};
  if (!memory_.read(descriptor, bytes)) {
    if (limit_.allow()) {
      log::warn("fw_cfg: The guest's DMA descriptor at {:#x} is not in its memory",
                descriptor.value());
    }
    return;
  }
  const std::span<const std::byte> fields(bytes);
  const auto result = run_command(static_cast<std::uint32_t>(load_be(fields.first(4))),
                                  static_cast<std::uint32_t>(load_be(fields.subspan(4, 4))),
                                  GuestAddress(load_be(fields.subspan(8, 8))));
  std::array<std::byte, 4> control{};
  store_be(control, result);
  memory_.write(descriptor, control);
}

/// The new control word: 0, or kDmaError.
std::uint32_t FwCfg::run_command(std::uint32_t control, std::uint32_t length, GuestAddress target) {
  const auto key = static_cast<std::uint16_t>(control >> 16);
  const bool selects = (control & fw_cfg::kDmaSelect) != 0;
  if (selects) {
    prepare(key);
  }
  const MutexLock lock(mutex_);
  if (selects) {
    select(key);
  }
  if ((control & fw_cfg::kDmaRead) != 0) {
    if (length == 0) {
      return 0;
    }
    const auto out = memory_.slice(target, length);
    return out && read_next(*out) ? 0 : fw_cfg::kDmaError;
  }
  if ((control & fw_cfg::kDmaWrite) != 0) {
    return fw_cfg::kDmaError;
  }
  if ((control & fw_cfg::kDmaSkip) != 0) {
    const auto* item = selected();
    const std::uint64_t size = item == nullptr ? 0 : item->size();
    state_.offset = std::min(size, state_.offset + length);
  }
  return 0;
}

void FwCfg::reset() {
  const MutexLock lock(mutex_);
  state_ = State{};
}

void FwCfg::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.hex("selected", state_.selected);
  auto& files = node.child("files");
  for (const auto& [name, key] : files_) {
    const auto count = selections_.find(key);
    auto& file = files.child(name);
    file.field("size", items_.at(key)->size());
    file.field("selected", count == selections_.end() ? std::uint64_t{0} : count->second);
  }
}

}  // namespace gpuvm
