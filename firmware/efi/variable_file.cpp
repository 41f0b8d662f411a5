// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/variable_file.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "firmware/efi/variable_store.hpp"
#include "vmm/base/background_thread.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

using efi::VariableStore;

constexpr unsigned kKeptDamaged = 100;

std::vector<std::byte> empty_block() {
  std::vector<std::byte> block(VariableStore::kBlockSize);
  VariableStore store(block.data());
  store.format();
  block.resize(store.used());
  return block;
}

Status keep_aside(const OutputPlace& place, const char* why) {
  const std::string& path = place.path();
  for (unsigned i = 1; i <= kKeptDamaged; ++i) {
    const std::string suffix = i == 1 ? ".damaged" : fmt::format(".damaged-{}", i);
    if (TRY(place.rename_to(place.name() + suffix))) {
      log::warn(
          "The EFI variables in {} are damaged ({}); the file is kept as {}{}, and the guest "
          "starts without variables",
          path, why, path, suffix);
      return {};
    }
  }
  return fail(ErrorKind::kConfig,
              "The EFI variables in {} are damaged ({}), and there are {} damaged ones beside it; "
              "remove some",
              path, why, kKeptDamaged);
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Ours until the descriptor is closed. Errors: kConfig.
Status lock(int fd, const std::string& path) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_SETLK, &whole) == 0) {
    return {};
  }
  if (errno != EAGAIN && errno != EACCES) {
    return fail_errno(ErrorKind::kConfig, "Cannot lock " + path);
  }
  return fail(ErrorKind::kConfig,
              "boot.vars: {} is in use by another guest; give each guest its own", path);
}

/// The file that `place` names, locked; nothing where there is none. Its owner may have put another
/// one in its place before we had the lock.
Result<UniqueFd> open_locked(const OutputPlace& place) {
  UniqueFd fd = TRY_CONTEXT(place.open_existing(O_RDWR), "boot.vars");
  if (!fd) {
    return fd;
  }
  TRY(lock(fd.get(), place.path()));
  if (!place.holds(fd.get())) {
    return fail(ErrorKind::kConfig,
                "boot.vars: {} is in use by another guest; give each guest its own", place.path());
  }
  return fd;
}

/// Nothing for what is no store, which is kept under another name.
Result<std::optional<std::vector<std::byte>>> read_store(int fd, const OutputPlace& place) {
  auto bytes = TRY_CONTEXT(
      read_open_file(fd, place.path(), VariableStore::kBlockSize * 16, ErrorKind::kConfig),
      "boot.vars");
  const char* wrong = bytes.size() > VariableStore::kBlockSize
                          ? "it is too long"
                          : VariableStore::check(bytes.data(), bytes.size());
  if (wrong == nullptr) {
    return std::optional(std::move(bytes));
  }
  TRY(keep_aside(place, wrong));
  return std::optional<std::vector<std::byte>>();
}

}  // namespace

Result<std::unique_ptr<VariableFile>> VariableFile::open(std::string path, Pace pace,
                                                         std::function<void()> begin_thread) {
  std::unique_ptr<VariableFile> file(new VariableFile(std::move(path), pace, empty_block()));
  if (!file->path_.empty()) {
    TRY(file->load());
    TRY(file->start_writer(std::move(begin_thread)));
  }
  return file;
}

Status VariableFile::load() {
  place_ = TRY_CONTEXT(OutputPlace::open(path_, ErrorKind::kConfig), "boot.vars");
  const MutexLock lock(mutex_);
  fd_ = TRY(open_locked(*place_));
  auto kept = fd_ ? TRY(read_store(fd_.get(), *place_)) : std::nullopt;
  if (kept) {
    block_ = *std::move(kept);
  } else if (auto made = replace(block_, NewFile::Place::kOnlyNew); !made) {
    return fail(ErrorKind::kConfig, "boot.vars: {}", made.error().to_string());
  }
  return {};
}

/// Now, and not when there is something to do: the vCPU that saves may have no right to make one.
Status VariableFile::start_writer(std::function<void()> begin_thread) {
  try {
    writer_ = std::thread([this, begin = std::move(begin_thread)] {
      enter_background_thread("efi-variables");
      if (begin) {
        begin();
      }
      if (const auto thrown = thrown_by([this] { write_all(); })) {
        log::error("The EFI variables are not written to {} any more: {}", path_, *thrown);
        give_up();
      }
    });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "No thread can be made that writes the EFI variables ({}): raise `ulimit -u` or "
                "TasksMax= of the systemd unit",
                error.what());
  }
  return {};
}

VariableFile::~VariableFile() {
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) {
    writer_.join();
  }
}

std::vector<std::byte> VariableFile::block() const {
  const MutexLock lock(mutex_);
  return block_;
}

std::uint64_t VariableFile::writes() const {
  const MutexLock lock(mutex_);
  return writes_;
}

Status VariableFile::save(std::span<const std::byte> block) {
  std::vector<std::byte> copy(block.begin(), block.end());
  if (const char* wrong = VariableStore::check(copy.data(), copy.size())) {
    return fail(ErrorKind::kInternal, "The guest's EFI variables cannot be kept: {}", wrong);
  }
  copy.resize(VariableStore::kBlockSize);
  VariableStore store(copy.data());
  store.drop_volatile();
  copy.resize(store.used());
  MutexLock lock(mutex_);
  if (path_.empty()) {
    block_ = std::move(copy);
    return {};
  }
  while (awaited_ != nullptr && !is_gone_) {  // another's
    changed_.wait(lock);
  }
  const auto gone = [this] {
    return fail(ErrorKind::kInternal, "The EFI variables are not written to {} any more", path_);
  };
  if (is_gone_) {
    return gone();
  }
  if (Clock::now() < next_write()) {
    block_ = std::move(copy);
    is_late_ = true;
    changed_.notify_all();
    return std::exchange(late_status_, {});
  }
  Save mine;
  mine.block = std::move(copy);
  awaited_ = &mine;
  changed_.notify_all();
  while (!mine.is_done && !is_gone_) {
    changed_.wait(lock);
  }
  return mine.is_done ? std::move(mine.outcome) : Status(gone());
}

/// The thread's.
void VariableFile::write_all() {
  MutexLock lock(mutex_);
  for (;;) {
    const auto next = next_write();
    if (awaited_ != nullptr) {
      write_awaited();
    } else if (is_late_ && (is_ending_ || Clock::now() >= next)) {
      write_late();
    } else if (is_ending_) {
      return;
    } else if (is_late_) {
      changed_.wait_until(lock, next);
    } else {
      changed_.wait(lock);
    }
  }
}

/// Nobody waits for a thread that is not there.
void VariableFile::give_up() {
  {
    const MutexLock lock(mutex_);
    is_gone_ = true;
  }
  changed_.notify_all();
}

void VariableFile::write_awaited() {
  Save& awaited = *awaited_;
  std::swap(block_, awaited.block);
  awaited.outcome = write_block();
  if (!awaited.outcome) {
    std::swap(block_, awaited.block);
  }
  awaited.is_done = true;
  awaited_ = nullptr;
  changed_.notify_all();
}

void VariableFile::write_late() {
  late_status_ = write_block();
  if (!late_status_) {
    log::warn("{}", late_status_.error().to_string());
    is_late_ = false;  // the guest's next save tries again
  }
}

VariableFile::Clock::time_point VariableFile::next_write() const {
  return pace_time_ - pace_.between * (std::max(pace_.burst, 1U) - 1);
}

Status VariableFile::write_block() {
  pace_time_ = std::max(pace_time_, Clock::now()) + pace_.between;
  if (replace_by_) {
    TRY(replace_by_(block_));
    ++writes_;
  } else {
    TRY(replace(block_, NewFile::Place::kReplace));
  }
  is_late_ = false;
  return {};
}

void VariableFile::replace_by(Replace replace) {
  const MutexLock lock(mutex_);
  replace_by_ = std::move(replace);
}

/// A new file in the old one's place, so that there is a whole one at any time. It is locked before
/// it has its name.
Status VariableFile::replace(std::span<const std::byte> block, NewFile::Place how) {
  NewFile file = TRY(place_->create(0600));
  TRY(lock(file.fd(), path_));
  TRY(write_output(file.fd(), as_text(block), path_));
  fd_ = TRY(file.take_place(how));
  ++writes_;
  return {};
}

}  // namespace gpuvm
