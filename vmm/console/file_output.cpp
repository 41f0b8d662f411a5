// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/file_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <vector>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/units.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {

/// What the thread does, and all that it uses.
class FileOutput::Writer {
 public:
  Writer(UniqueFd file, UniqueFd pipe, EventFd stop, Options options)
      : file_(std::move(file)),
        pipe_(std::move(pipe)),
        stop_(std::move(stop)),
        options_(std::move(options)),
        left_(options_.most) {}

  void run();
  /// True: the thread has ended, or is about to.
  bool stop();

 private:
  void pass_on();
  bool take();
  void keep(std::span<const std::byte> bytes);
  bool put(std::span<const std::byte> bytes);

  const UniqueFd file_;
  const UniqueFd pipe_;
  const EventFd stop_;
  const Options options_;
  std::uint64_t left_;      ///< of the limit
  bool is_keeping_ = true;  ///< false: the limit is reached, or the file takes no more
  std::vector<std::byte> bytes_ = std::vector<std::byte>(64_KiB);

  Mutex mutex_;
  Condition changed_;
  bool ended_ GPUVM_GUARDED_BY(mutex_) = false;
};

void FileOutput::Writer::run() {
  enter_background_thread("console-file");
  sandbox::enter(sandbox::ThreadRole::kWriter);
  if (const auto thrown = thrown_by([this] { pass_on(); })) {
    is_keeping_ = false;
    thrown_by([this, &thrown] {
      log::warn("The {} cannot be written: {}; what comes from now on is dropped", options_.name,
                *thrown);
    });
    pass_on();  // the guest must not wait; nothing of it throws now
  }
  {
    const MutexLock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

/// Until stop(), and then what is left.
void FileOutput::Writer::pass_on() {
  std::array<pollfd, 2> waits{pollfd{.fd = pipe_.get(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = stop_.fd(), .events = POLLIN, .revents = 0}};
  while (waits[1].revents == 0) {
    // Signals are blocked, so it fails never.
    ::poll(waits.data(), waits.size(), -1);
    if ((waits[0].revents & POLLIN) != 0) {
      take();
    } else if (waits[0].revents != 0) {
      waits[0].fd = -1;  // nobody writes any more
    }
  }
  while (take()) {
  }
}

bool FileOutput::Writer::stop() {
  stop_.signal();
  const auto end = std::chrono::steady_clock::now() + options_.patience;
  MutexLock lock(mutex_);
  while (!ended_) {
    if (!changed_.wait_until(lock, end)) {
      return ended_;
    }
  }
  return true;
}

/// False: there is nothing.
bool FileOutput::Writer::take() {
  const auto got = ::read(pipe_.get(), bytes_.data(), bytes_.size());
  if (got > 0) {
    keep(std::span(bytes_).first(static_cast<std::size_t>(got)));
  }
  return got > 0;
}

/// Once the file takes no more the pipe is emptied all the same: the guest must not wait.
void FileOutput::Writer::keep(std::span<const std::byte> bytes) {
  if (!is_keeping_) {
    return;
  }
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
  left_ -= most;
  is_keeping_ = put(bytes.first(most));
  if (!is_keeping_) {
    log::warn("{}; what comes from now on is dropped",
              fail_errno(ErrorKind::kHost, "Cannot write the " + options_.name).to_string());
  } else if (most < bytes.size()) {
    is_keeping_ = false;
    const auto text =
        fmt::format("\r\n[gpuvm: {} bytes were printed, and the file gets no more in this run]\r\n",
                    options_.most);
    put(std::as_bytes(std::span(text.data(), text.size())));
    log::warn("The {} has its most, {} MiB; what the guest prints from now on is dropped",
              options_.name, options_.most >> 20);
  }
}

/// False: errno says why.
bool FileOutput::Writer::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = options_.write(file_.get(), bytes);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

ssize_t FileOutput::write_to(int fd, std::span<const std::byte> bytes) {
  return ::write(fd, bytes.data(), bytes.size());
}

FileOutput::FileOutput(std::shared_ptr<Writer> writer, UniqueFd pipe)
    : writer_(std::move(writer)), pipe_(std::move(pipe)) {}

Result<std::unique_ptr<FileOutput>> FileOutput::start(UniqueFd file, Options options) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a pipe for the " + options.name);
  }
  UniqueFd theirs(ends[0]);
  UniqueFd ours(ends[1]);
  auto stop = TRY(EventFd::create());
  const std::string name = options.name;
  std::unique_ptr<FileOutput> output(
      new FileOutput(std::make_shared<Writer>(std::move(file), std::move(theirs), std::move(stop),
                                              std::move(options)),
                     std::move(ours)));
  try {
    output->thread_ = std::thread([writer = output->writer_] { writer->run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "No thread can be made for the {} ({}): raise `ulimit -u` or TasksMax= of the "
                "systemd unit",
                name, error.what());
  }
  return output;
}

FileOutput::~FileOutput() {
  if (!thread_.joinable()) {
    return;
  }
  pipe_.reset();
  if (writer_->stop()) {
    thread_.join();
  } else {
    log::warn("A file system does not take the end of what a console has printed: it is lost");
    thread_.detach();
  }
}

}  // namespace gpuvm
