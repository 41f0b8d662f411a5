// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/record_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

ssize_t write_to_file(int fd, std::span<const std::byte> bytes) {
  return ::write(fd, bytes.data(), bytes.size());
}

}  // namespace

/// What the thread does, and all that it uses.
class RecordFile::Writer {
 public:
  Writer(UniqueFd file, Options options) : file_(std::move(file)), options_(std::move(options)) {}

  void run() GPUVM_EXCLUDES(mutex_);
  void add(std::string_view line) GPUVM_EXCLUDES(mutex_);
  /// True: the thread has ended, or is about to.
  bool stop() GPUVM_EXCLUDES(mutex_);
  std::uint64_t left_out() const GPUVM_EXCLUDES(mutex_);
  const std::string& name() const { return options_.name; }

 private:
  void write_all() GPUVM_EXCLUDES(mutex_);
  bool put(std::string_view text) const;
  std::string remark(std::string text) const;
  std::string remark_of_gap() const GPUVM_REQUIRES(mutex_);

  const UniqueFd file_;
  const Options options_;

  mutable Mutex mutex_;
  Condition changed_;
  std::string waiting_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t taken_ GPUVM_GUARDED_BY(mutex_) = 0;     ///< bytes that the file has or will have
  std::uint64_t left_out_ GPUVM_GUARDED_BY(mutex_) = 0;  ///< lines
  std::uint64_t gap_ GPUVM_GUARDED_BY(mutex_) = 0;       ///< of these, behind the last one taken
  bool is_full_ GPUVM_GUARDED_BY(mutex_) = false;  ///< the file has its most, or cannot be written
  bool stops_ GPUVM_GUARDED_BY(mutex_) = false;
  bool has_ended_ GPUVM_GUARDED_BY(mutex_) = false;
};

std::string RecordFile::Writer::remark(std::string text) const {
  return options_.remark ? options_.remark(text) : text + "\n";
}

std::string RecordFile::Writer::remark_of_gap() const {
  return remark(fmt::format("gpuvm: {} lines are left out here: the disk was too slow", gap_));
}

void RecordFile::Writer::add(std::string_view line) {
  {
    const MutexLock lock(mutex_);
    const std::string before = gap_ > 0 ? remark_of_gap() : std::string();
    const std::size_t size = before.size() + line.size();
    is_full_ = is_full_ || taken_ + size > options_.most;
    if (is_full_ || stops_ || waiting_.size() + size > options_.most_waiting) {
      ++left_out_;
      ++gap_;
      return;
    }
    gap_ = 0;
    taken_ += size;
    waiting_ += before;
    waiting_ += line;
  }
  changed_.notify_all();
}

void RecordFile::Writer::run() {
  enter_background_thread("job-record");
  sandbox::enter(sandbox::ThreadRole::kWriter);
  if (const auto thrown = thrown_by([this] { write_all(); })) {
    thrown_by([this, &thrown] {
      log::warn("Cannot write {}: {}: what comes from now on is not recorded there", options_.name,
                *thrown);
    });
  }
  {
    const MutexLock lock(mutex_);
    is_full_ = true;
    has_ended_ = true;
  }
  changed_.notify_all();
}

/// Until stop(), or until the file takes no more.
void RecordFile::Writer::write_all() {
  std::string taken;
  bool goes_on = true;
  while (goes_on) {
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !stops_) {
        changed_.wait(lock);
      }
      taken = std::exchange(waiting_, {});
      goes_on = !stops_;
      if (!goes_on && gap_ > 0) {
        taken += is_full_
                     ? remark(fmt::format("gpuvm: {} more lines are left out: the file has its "
                                          "most, {} MiB",
                                          gap_, options_.most >> 20))
                     : remark_of_gap();
      }
    }
    if (!put(taken)) {
      log::warn("{}: what comes from now on is not recorded there",
                fail_errno(ErrorKind::kHost, "Cannot write " + options_.name).to_string());
      goes_on = false;
    }
  }
}

/// False: errno says why.
bool RecordFile::Writer::put(std::string_view text) const {
  while (!text.empty()) {
    const auto written = options_.write(file_.get(), std::as_bytes(std::span(text)));
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool RecordFile::Writer::stop() {
  const auto end = std::chrono::steady_clock::now() + options_.patience;
  MutexLock lock(mutex_);
  stops_ = true;
  changed_.notify_all();
  while (!has_ended_) {
    if (!changed_.wait_until(lock, end)) {
      return has_ended_;
    }
  }
  return true;
}

std::uint64_t RecordFile::Writer::left_out() const {
  const MutexLock lock(mutex_);
  return left_out_;
}

Result<std::unique_ptr<RecordFile>> RecordFile::start(UniqueFd file, Options options) {
  if (!options.write) {
    options.write = write_to_file;
  }
  const std::string name = options.name;
  std::unique_ptr<RecordFile> record(
      new RecordFile(std::make_shared<Writer>(std::move(file), std::move(options))));
  try {
    record->thread_ = std::thread([writer = record->writer_] { writer->run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "No thread can be made for {} ({}): raise `ulimit -u` or TasksMax= of the systemd "
                "unit",
                name, error.what());
  }
  return record;
}

void RecordFile::add(std::string_view line) {
  writer_->add(line);
}

void RecordFile::finish() {
  if (!thread_.joinable()) {
    return;
  }
  if (writer_->stop()) {
    thread_.join();
  } else {
    log::warn("The file system of {} does not take its end: it is lost", writer_->name());
    thread_.detach();
  }
}

std::uint64_t RecordFile::left_out() const {
  return writer_->left_out();
}

}  // namespace gpuvm
