// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio_user/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::vfio_user {
namespace {

constexpr std::size_t kMaxPending = 1024;

}  // namespace

Connection::Connection(MessageSocket socket, Options options)
    : options_(std::move(options)), socket_(std::move(socket)) {}

Result<std::unique_ptr<Connection>> Connection::create(MessageSocket socket, Options options) {
  std::unique_ptr<Connection> connection(new Connection(std::move(socket), std::move(options)));
  TRY(connection->socket_.set_send_timeout(connection->options_.timeout));
  TRY(connection->start_reader());
  TRY(connection->negotiate());
  return connection;
}

Status Connection::start_reader() {
  try {
    reader_ = std::thread([this] { read_messages(); });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "No thread can be made that reads what its vfio-user server sends ({}): raise "
                "`ulimit -u` or TasksMax= of the systemd unit",
                error.what());
  }
  return {};
}

Connection::~Connection() {
  {
    const MutexLock lock(mutex_);
    is_lost_ = true;  // by ourselves: nobody is told
  }
  socket_.shut_down();
  if (reader_.joinable()) {
    reader_.join();
  }
}

Status Connection::negotiate() {
  const auto reply = TRY(call(Command::kVersion, version_request(), {}, {.payload = kMaxPayload}));
  limits_ = TRY(parse_version(reply.payload));
  return {};
}

void Connection::read_messages() {
  enter_background_thread("vfio-user");
  sandbox::enter(sandbox::ThreadRole::kReader);
  for (;;) {
    auto message = socket_.receive();
    if (!message) {
      lose(message.error().to_string());
      return;
    }
    if (const auto status = take(std::move(message).value()); !status) {
      lose(status.error().to_string());
      return;
    }
  }
}

Status Connection::take(Message message) {
  const Header& header = message.header;
  const std::uint32_t type = header.flags & kTypeMask;
  if (type == kTypeCommand) {
    return refuse_command(header);
  }
  const MutexLock lock(mutex_);
  const auto found = pending_.find(header.id);
  if (type != kTypeReply || found == pending_.end()) {
    return fail(ErrorKind::kHost, "it answered what it was not asked (message {}, flags {:#x})",
                header.id, header.flags);
  }
  Pending& pending = *found->second;
  if (header.command != static_cast<std::uint16_t>(pending.command)) {
    return fail(ErrorKind::kHost, "it answered {} with command {}", to_string(pending.command),
                header.command);
  }
  const bool is_error = (header.flags & kError) != 0;
  if (message.payload.size() > pending.expect.payload ||
      message.fds.size() > (is_error ? 0 : pending.expect.fds)) {
    return fail(ErrorKind::kHost, "its answer to {} has {} bytes and {} file descriptors",
                to_string(pending.command), message.payload.size(), message.fds.size());
  }
  pending.flags = header.flags;
  pending.error = header.error;
  pending.reply = {std::move(message.payload), std::move(message.fds)};
  pending.is_done = true;
  pending_.erase(found);
  if (pending.limit > options_.timeout) {
    give_more_time_to_others();
  }
  changed_.notify_all();
  return {};
}

/// Those that waited behind a reset: the server may only now have come to them.
void Connection::give_more_time_to_others() {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [id, other] : pending_) {
    other->deadline = std::max(other->deadline, now + other->limit);
  }
}

/// False if the answer did not come in time.
bool Connection::wait_for(MutexLock& lock, const Pending& pending) {
  for (;;) {
    if (pending.is_done || is_lost_) {
      return true;
    }
    auto deadline = pending.deadline;
    for (const auto& [id, other] : pending_) {
      if (other->limit > options_.timeout) {
        deadline = std::max(deadline, other->deadline);
      }
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return false;
    }
    changed_.wait_until(lock, deadline);
  }
}

Status Connection::refuse_command(const Header& header) {
  if ((header.flags & kNoReply) != 0) {
    return {};
  }
  return send({.id = header.id,
               .command = header.command,
               .size = 0,
               .flags = kTypeReply | kError,
               .error = EOPNOTSUPP},
              {}, {});
}

Status Connection::send(const Header& header, std::span<const std::byte> payload,
                        std::span<const int> fds) {
  const MutexLock lock(send_mutex_);
  return socket_.send(header, payload, fds);
}

Result<std::uint16_t> Connection::enter(Pending& pending) {
  const MutexLock lock(mutex_);
  if (is_lost_) {
    return fail(ErrorKind::kHost, "{}: Its vfio-user server has gone: {}", options_.name, reason_);
  }
  if (pending_.size() >= kMaxPending) {
    return fail(ErrorKind::kInternal, "Too many commands to the vfio-user server are under way");
  }
  while (pending_.contains(next_id_)) {
    ++next_id_;
  }
  pending_.emplace(next_id_, &pending);
  return next_id_++;
}

Result<Connection::Reply> Connection::finish(Pending& pending, int& refusal) const {
  if (!pending.is_done) {
    return fail(ErrorKind::kHost, "{}: Its vfio-user server has gone: {}", options_.name, reason_);
  }
  if ((pending.flags & kError) != 0) {
    refusal = pending.error == 0 || pending.error > 4095 ? EIO : static_cast<int>(pending.error);
    return fail_errno(ErrorKind::kHost,
                      fmt::format("{}: Its vfio-user server refused {}", options_.name,
                                  to_string(pending.command)),
                      refusal);
  }
  return std::move(pending.reply);
}

Result<Connection::Reply> Connection::call(Command command, std::span<const std::byte> payload,
                                           std::span<const int> fds, Expect expect,
                                           std::chrono::milliseconds timeout) {
  int refusal = 0;
  return call(command, payload, fds, expect, timeout, refusal);
}

Result<Connection::Reply> Connection::call(Command command, std::span<const std::byte> payload,
                                           std::span<const int> fds, Expect expect,
                                           std::chrono::milliseconds timeout, int& refusal) {
  refusal = 0;
  const auto limit = timeout.count() == 0 ? options_.timeout : timeout;
  Pending pending{.command = command,
                  .expect = expect,
                  .reply = {},
                  .limit = limit,
                  .deadline = std::chrono::steady_clock::now() + limit};
  const std::uint16_t id = TRY(enter(pending));
  const auto sent = send({.id = id,
                          .command = static_cast<std::uint16_t>(command),
                          .size = 0,
                          .flags = kTypeCommand,
                          .error = 0},
                         payload, fds);
  if (!sent) {
    lose(sent.error().to_string());
  }
  MutexLock lock(mutex_);
  const bool is_over = wait_for(lock, pending);
  if (!pending.is_done) {
    pending_.erase(id);
  }
  if (!is_over) {
    lock.unlock();
    lose(fmt::format("it did not answer {} within {} ms", to_string(command), limit.count()));
    lock.lock();
  }
  return finish(pending, refusal);
}

Error Connection::lost_error() const {
  const MutexLock lock(mutex_);
  return fail(ErrorKind::kHost, "{}: Its vfio-user server has gone: {}", options_.name, reason_);
}

bool Connection::is_lost() const {
  const MutexLock lock(mutex_);
  return is_lost_;
}

void Connection::lose(const std::string& reason) {
  {
    const MutexLock lock(mutex_);
    if (is_lost_) {
      return;
    }
    is_lost_ = true;
    reason_ = reason;
  }
  changed_.notify_all();
  socket_.shut_down();
  if (options_.on_lost) {
    options_.on_lost();
  }
}

}  // namespace gpuvm::vfio_user
