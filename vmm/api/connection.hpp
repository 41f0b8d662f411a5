// SPDX-License-Identifier: Apache-2.0
// ApiConnection: one client of the control socket: requests one after the other, answers in their
// order, or one of the streams (events, a console) until somebody leaves. Every client may be slow,
// stuck or hostile: there is a limit for what waits for it, and for the time that it takes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "vmm/api/request_reader.hpp"
#include "vmm/base/asio.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/guests/client_seats.hpp"

namespace gpuvm {

struct ApiServerLimits {
  SeatLimits seats = {};
  std::chrono::milliseconds request{10'000};  ///< until it is there, and until its answer is read
  std::chrono::milliseconds linger{1'000};    ///< for what a client still sends after its answer
  /// Bytes of a stream that wait for its client: then one of events is dropped, and one of a
  /// console misses what comes until it has read them.
  std::size_t stream_waiting = 1024 * 1024;
};

/// Control thread.
class ApiConnection : public std::enable_shared_from_this<ApiConnection> {
 public:
  using Self = std::shared_ptr<ApiConnection>;
  struct Handlers {
    /// Answered by one of respond(), begin_stream() and begin_console(), at once or later.
    std::function<void(const Self&, const ApiRequest&)> on_request;
    /// Once, from whatever call finds that it is over.
    std::function<void(const Self&)> on_close;
    /// It reads too slowly, and loses something of its stream.
    std::function<void()> on_slow = {};
  };
  /// Takes what was typed and returns how much; after less than all, resume_input().
  using Typed = std::function<std::size_t(std::span<const std::byte>)>;

  /// fd: of a stream socket, not blocking.
  ApiConnection(boost::asio::io_context& control, UniqueFd fd, const ApiServerLimits& limits,
                Handlers handlers);
  ~ApiConnection();
  ApiConnection(const ApiConnection&) = delete;
  ApiConnection& operator=(const ApiConnection&) = delete;

  void start();
  void respond(const ApiResponse& response);
  void begin_stream(std::string_view content_type);
  /// One piece of the stream.
  void send_piece(std::string_view text);
  void begin_console(Typed typed);
  /// Of the console. What a client that reads too slowly misses is told in its place, with its
  /// size.
  void send(std::span<const std::byte> bytes);
  /// So many bytes of the console come to nobody: they are told as a gap.
  void miss(std::uint64_t bytes);
  void resume_input();
  void close();
  bool is_closed() const { return mode_ == Mode::kClosed; }
  /// The guest's run is over: the stream ends, and what waits is written until `deadline`.
  void finish(std::chrono::steady_clock::time_point deadline);

 private:
  enum class Mode {
    kRequest,  ///< reads one
    kAnswer,   ///< it is carried out, or its answer is read
    kStream,
    kConsole,
    kLinger,  ///< the answer is written, and what comes is thrown away until the client leaves
    kClosed,
  };

  void wait_readable();
  void read();
  void take(std::span<const std::byte> bytes);
  void end_of_input();
  void wait_for_hangup();
  void next_request();
  void type(std::span<const std::byte> bytes);
  void deliver_typed();
  void queue(std::string_view bytes);
  void tell_gap();
  void note_slow();
  std::size_t waiting() const { return output_.size() - written_; }
  void flush();
  void wait_writable();
  void drained();
  void linger();
  void limit_time(std::chrono::milliseconds limit);
  bool is_stream() const { return mode_ == Mode::kStream || mode_ == Mode::kConsole; }

  boost::asio::posix::stream_descriptor stream_;
  boost::asio::steady_timer timer_;
  const ApiServerLimits limits_;
  Handlers handlers_;
  RequestReader reader_;
  Typed typed_;
  Mode mode_ = Mode::kRequest;
  bool keeps_alive_ = false;  ///< after the answer
  bool in_chunks_ = false;    ///< of the stream
  bool has_answer_ = false;   ///< queued
  bool needs_more_ = true;    ///< of a request; else one may have come already
  bool is_reading_ = false;   ///< a wait is under way
  bool is_writing_ = false;   ///< likewise
  bool has_input_end_ = false;
  unsigned timer_turn_ = 0;  ///< an older timer that expires means nothing
  std::string output_;       ///< from written_ on: waits
  std::size_t written_ = 0;
  std::uint64_t gap_ = 0;      ///< bytes of the console that came when too many waited
  std::string pending_typed_;  ///< not yet taken by the guest
  std::size_t lingered_ = 0;   ///< bytes thrown away
};

}  // namespace gpuvm
