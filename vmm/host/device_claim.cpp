// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/device_claim.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kCutShort = "its record in /run/gpuvm is damaged";
constexpr std::size_t kMaximumReason = 1024;
constexpr std::string_view kFailedReset = "reset=failed";

std::string one_line(std::string_view text) {
  std::string line(text.substr(0, kMaximumReason));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

long to_number(std::string_view text) {
  long value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && stop == text.data() + text.size() ? value : 0;
}

Error busy_error(const HostSystem& host, const Bdf& bdf) {
  const auto record = read_device_record(host, bdf);
  if (!record || record->pid == 0) {
    return fail(ErrorKind::kHost, "{} belongs to another gpuvm that is just starting",
                bdf.to_string());
  }
  return fail(ErrorKind::kHost, "{} belongs to {} (gpuvm, pid {}): stop that first",
              bdf.to_string(), record->owner, record->pid);
}

}  // namespace

std::string DeviceRecord::to_text() const {
  return fmt::format("owner={}\npid={}\ndirty={}\nlooks={}\n{}{}{}\n", one_line(owner), pid,
                     one_line(dirty), one_line(looks),
                     cause == DirtCause::kFailedReset ? fmt::format("{}\n", kFailedReset) : "",
                     scrub.empty() ? "" : fmt::format("scrub={}\n", one_line(scrub)), kStateEnd);
}

DeviceRecord DeviceRecord::parse(std::string_view text) {
  DeviceRecord record;
  if (text.empty()) {
    return record;
  }
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line == kStateEnd) {
      return record;  // what follows is the rest of an older text
    }
    const auto equals = std::min(line.find('='), line.size());
    const std::string key = line.substr(0, equals);
    const std::string value = equals < line.size() ? line.substr(equals + 1) : "";
    if (key == "owner") {
      record.owner = value;
    } else if (key == "pid") {
      record.pid = to_number(value);
    } else if (key == "dirty") {
      record.dirty = value;
    } else if (key == "looks") {
      record.looks = value;
    } else if (key == "scrub") {
      record.scrub = value;
    } else if (line == kFailedReset) {
      record.cause = DirtCause::kFailedReset;
    }
  }
  record.dirty = kCutShort;
  return record;
}

std::optional<DeviceRecord> read_device_record(const HostSystem& host, const Bdf& bdf) {
  const std::string path = StateFile::path(bdf, kClaimSuffix);
  const auto text = host.read(path);
  if (!text) {
    return host.exists(path) ? std::optional(DeviceRecord::parse("?")) : std::nullopt;
  }
  return DeviceRecord::parse(*text);
}

std::vector<Bdf> recorded_devices(const HostSystem& host) {
  std::vector<Bdf> devices;
  for (const std::string& name : host.list(kStateDirectory)) {
    if (!name.ends_with(kClaimSuffix)) {
      continue;
    }
    if (const auto bdf = Bdf::parse(name.substr(0, name.size() - kClaimSuffix.size()))) {
      devices.push_back(*bdf);
    }
  }
  return devices;
}

std::optional<DeviceRecord> current_owner(const HostSystem& host, const Bdf& bdf) {
  auto record = read_device_record(host, bdf);
  const bool is_held =
      record &&
      is_state_open(host, fmt::format("{}{}", bdf.to_string(), kClaimSuffix), record->pid);
  return is_held ? std::move(record) : std::nullopt;
}

Result<DeviceClaim> DeviceClaim::take(const HostSystem& host, const Bdf& bdf,
                                      std::string_view owner) {
  if (!may_write_state(host)) {
    log::warn(
        "{}: without the right to write {} nothing notes whether it is fit for the next guest",
        bdf.to_string(), kStateDirectory);
    return DeviceClaim(bdf, std::nullopt);
  }
  DeviceClaim claim(bdf, TRY(StateFile::claim(host, bdf, kClaimSuffix, [&](const std::string&) {
                      return busy_error(host, bdf);
                    })));
  claim.left_behind_ = DeviceRecord::parse(TRY(claim.file_->read()));
  claim.record_ = claim.left_behind_;
  claim.record_.owner = owner;
  claim.record_.pid = ::getpid();
  claim.resets_folder_ = host.path(kResetFolder);
  TRY(claim.save());
  return claim;
}

Result<DeviceClaim> DeviceClaim::adopt(const HostSystem& host, const Bdf& bdf, UniqueFd file) {
  if (!file) {
    return DeviceClaim(bdf, std::nullopt);
  }
  DeviceClaim claim(bdf,
                    TRY(StateFile::adopt(host, fmt::format("{}{}", bdf.to_string(), kClaimSuffix),
                                         std::move(file))));
  claim.left_behind_ = DeviceRecord::parse(TRY(claim.file_->read()));
  claim.record_ = claim.left_behind_;
  claim.record_.pid = ::getpid();
  claim.resets_folder_ = host.path(kResetFolder);
  TRY(claim.save());
  return claim;
}

UniqueFd DeviceClaim::hand_over() {
  resets_folder_.clear();
  resets_.reset();
  auto file = std::exchange(file_, std::nullopt);
  return file ? file->hand_over() : UniqueFd();
}

DeviceClaim::DeviceClaim(DeviceClaim&& other) noexcept
    : bdf_(other.bdf_),
      file_(std::exchange(other.file_, std::nullopt)),
      left_behind_(std::move(other.left_behind_)),
      record_(std::move(other.record_)),
      resets_folder_(std::exchange(other.resets_folder_, {})),
      resets_(std::exchange(other.resets_, std::nullopt)) {}

DeviceClaim::~DeviceClaim() {
  if (file_ && !is_dirty()) {
    file_->remove();
  }
}

Status DeviceClaim::save() {
  return file_ ? file_->write(record_.to_text()) : Status();
}

Status DeviceClaim::mark_dirty(std::string_view reason, std::string_view looks, DirtCause cause) {
  record_.dirty = reason.empty() ? "no reason was given" : one_line(reason);
  record_.looks = looks;
  record_.cause = cause;
  return save();
}

Status DeviceClaim::mark_clean() {
  record_.dirty.clear();
  record_.looks.clear();
  record_.cause = DirtCause::kUse;
  record_.scrub.clear();
  return save();
}

Status DeviceClaim::owe_scrub(std::string_view choice) {
  record_.scrub = one_line(choice);
  return save();
}

/// The first reset is before there is a guest: after that nothing may be opened any more.
Status DeviceClaim::note_reset(ResetNote note) {
  if (const std::string folder = std::exchange(resets_folder_, {}); !folder.empty()) {
    resets_ = TRY(ResetHistoryFile::open(folder, bdf_));
  }
  if (!resets_) {
    return {};
  }
  note.owner = record_.owner;
  return resets_->add(std::move(note));
}

}  // namespace gpuvm
