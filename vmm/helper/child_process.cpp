// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/child_process.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostKept = 2048;  ///< of the last that it printed

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(Options options) {
  auto stop = TRY(EventFd::create());
  options.program.dies_with_thread = true;
  std::unique_ptr<ChildProcess> child(new ChildProcess(std::move(options), std::move(stop)));
  try {
    child->thread_ = std::thread([raw = child.get()] { raw->run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "No thread can be made that watches {} ({}): raise `ulimit -u` or TasksMax= of the "
                "systemd unit",
                child->options_.program.name(), error.what());
  }
  MutexLock lock(child->mutex_);
  while (!child->begun_) {
    child->changed_.wait(lock);
  }
  const Status begun = *child->begun_;
  lock.unlock();
  TRY(Status(begun));
  return child;
}

void ChildProcess::run() {
  enter_background_thread(options_.program.name());
  Status begun;
  if (const auto thrown = thrown_by([&] { begun = begin(); })) {
    begun = fail(ErrorKind::kInternal, "{}", *thrown);
  }
  const bool is_running = begun.has_value();
  if (is_running) {
    sandbox::enter(sandbox::ThreadRole::kWatcher);
  }
  {
    const MutexLock lock(mutex_);
    begun_ = std::move(begun);
  }
  changed_.notify_all();
  const auto thrown = thrown_by([&] {
    if (is_running) {
      watch();
    }
  });
  if (thrown) {  // the kernel kills the program when this thread ends
    log::error("{} cannot be watched any more: {}", options_.program.name(), *thrown);
  }
}

Status ChildProcess::begin() {
  auto pipe = TRY(make_output_pipe());
  auto started = TRY(start_program(options_.program, pipe.theirs.get()));
  pid_ = started.pid;
  layers_ = std::move(started.layers);
  said_ = std::move(pipe.ours);
  process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!process_) {
    const int error = errno;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    return fail_errno(ErrorKind::kHost, "Cannot watch " + options_.program.name(), error);
  }
  return {};
}

/// Until it has ended.
void ChildProcess::watch() {
  std::array<pollfd, 3> waits{pollfd{.fd = process_.get(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = said_.get(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = stop_.fd(), .events = POLLIN, .revents = 0}};
  const int wait_ms = options_.look ? static_cast<int>(options_.look_every.count()) : -1;
  auto looked = std::chrono::steady_clock::now();
  while (waits[0].revents == 0) {
    if (::poll(waits.data(), waits.size(), wait_ms) < 0 && errno != EINTR) {
      break;
    }
    if (const auto now = std::chrono::steady_clock::now();
        options_.look && now - looked >= options_.look_every) {
      looked = now;  // by the clock: one that prints all the time is looked at all the same
      options_.look(pid_);
    }
    if (waits[1].revents != 0) {
      hear();
      if ((waits[1].revents & POLLIN) == 0) {
        waits[1].fd = -1;  // it has closed it
      }
    }
    if (waits[2].revents != 0) {
      send(is_to_be_killed_ ? SIGKILL : SIGTERM);
      break;
    }
  }
  await_end();
}

void ChildProcess::await_end() {
  pollfd gone{.fd = process_.get(), .events = POLLIN, .revents = 0};
  const auto end_of_patience = std::chrono::steady_clock::now() + options_.patience;
  int ready = 0;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        end_of_patience - std::chrono::steady_clock::now());
    hear();  // or it may wait for room in the pipe
    if (is_to_be_killed_) {
      send(SIGKILL);
    }
    ready = ::poll(&gone, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 100)));
  } while (ready <= 0 && std::chrono::steady_clock::now() < end_of_patience);
  if (ready <= 0) {
    log::warn("{} does not end by SIGTERM within {} ms: it is killed", options_.program.name(),
              options_.patience.count());
    send(SIGKILL);
  }
  int status = 0;
  pid_t waited = 0;
  while ((waited = ::waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
  }
  hear();
  end(status, waited == pid_);
}

/// Keeps the end of what it prints.
void ChildProcess::hear() {
  std::array<char, 1024> bytes{};
  for (int turn = 0; turn < 64; ++turn) {  // one that never stops printing must not keep us
    const auto got = ::read(said_.get(), bytes.data(), bytes.size());
    if (got <= 0) {
      return;
    }
    printed_.append(bytes.data(), static_cast<std::size_t>(got));
    if (printed_.size() > kMostKept) {
      printed_.erase(0, printed_.size() - kMostKept);
    }
  }
}

void ChildProcess::end(int status, bool is_known) {
  const std::string text = text_of_output(printed_);
  const Error error = fail(ErrorKind::kHost, "{} has ended ({}){}{}", options_.program.name(),
                           is_known ? text_of_end(status) : "how is not known, SIGCHLD is ignored",
                           text.empty() ? "" : ": ", text);
  bool is_told = false;
  {
    const MutexLock lock(mutex_);
    ended_ = error;
    is_told = !is_stopping_;
  }
  changed_.notify_all();
  if (is_told && options_.on_end) {
    options_.on_end(error);
  } else if (!text.empty()) {
    log::debug("{}", error.to_string());
  }
}

void ChildProcess::stop() {
  {
    const MutexLock lock(mutex_);
    is_stopping_ = true;
  }
  stop_.signal();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void ChildProcess::kill() {
  is_to_be_killed_ = true;
  stop_.signal();
}

void ChildProcess::send(int signal) const {
  ::syscall(SYS_pidfd_send_signal, process_.get(), signal, nullptr, 0U);
}

std::optional<Error> ChildProcess::wait_for_end(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  MutexLock lock(mutex_);
  while (!ended_ && std::chrono::steady_clock::now() < end) {
    changed_.wait_until(lock, end);
  }
  return ended_;
}

}  // namespace gpuvm
