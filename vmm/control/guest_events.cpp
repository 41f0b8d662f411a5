// SPDX-License-Identifier: Apache-2.0
#include "vmm/control/guest_events.hpp"

#include <fmt/chrono.h>

#include <string_view>
#include <utility>

namespace gpuvm {

std::string time_text(std::chrono::system_clock::time_point time) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

namespace {

void add_fields(InspectNode& node, const StateChange& change) {
  node.field("event", "state");
  node.field("from", to_string(change.from));
  node.field("to", to_string(change.to));
  node.field("memory_slots", change.holdings.memory_slots);
  node.field("heap_bytes", change.holdings.heap_bytes);
}

void add_fields(InspectNode& node, const DevicesReset& reset) {
  node.field("event", "reset");
  node.field("reason", reset.reason);
  node.field("functions", reset.functions);
  node.field("method", reset.method);
  node.field("verdict", reset.verdict);
  node.field("duration_ms", reset.duration_ms);
  node.field("text", reset.text);
  if (!reset.bars.empty()) {
    node.field("bars", reset.bars);
  }
  if (!reset.scrub.empty()) {
    node.field("scrub", reset.scrub);
  }
}

void add_fields(InspectNode& node, const ScrubUnderWay& progress) {
  node.field("event", "scrub");
  node.field("function", progress.function);
  node.field("done_bytes", progress.done_bytes);
  node.field("all_bytes", progress.all_bytes);
}

void add_fields(InspectNode& node, const NetworkLost& lost) {
  node.field("event", "network");
  node.field("network", lost.network);
  node.field("link", "down");
  node.field("text", lost.text);
}

void add_fields(InspectNode& node, const DiskLost& lost) {
  node.field("event", "disk");
  node.field("disk", lost.disk);
  node.field("state", "lost");
  node.field("text", lost.text);
}

void add_fields(InspectNode& node, const VsockReady& ready) {
  node.field("event", "vsock");
  node.field("cid", std::uint64_t{ready.cid});
}

void add_fields(InspectNode& node, const ShareLost& lost) {
  node.field("event", "share");
  node.field("tag", lost.tag);
  node.field("state", "lost");
  node.field("text", lost.text);
}

void add_fields(InspectNode& node, const GuestWord& word) {
  node.field("event", "word");
  node.field("channel", word.channel);
  node.field("word", word.word);
  if (word.status) {
    node.field("status", std::uint64_t{*word.status});
  }
  if (word.written) {
    node.field("written", time_text(*word.written));
  }
}

void add_fields(InspectNode& node, const EndAsked& asked) {
  node.field("event", "end_asked");
  node.field("signal", static_cast<std::uint64_t>(asked.signal));
}

void add_fields(InspectNode& node, const RebootDelayed& delayed) {
  node.field("event", "reboot_delayed");
  node.field("seconds", delayed.seconds);
  node.field("short_lives", delayed.short_lives);
}

void add_fields(InspectNode& node, const SandboxNews& news) {
  node.field("event", "sandbox");
  node.field("state", news.state);
  node.field("text", news.text);
}

void add_fields(InspectNode& node, const CardMoved& moved) {
  node.field("event", "card");
  if (!moved.card.empty()) {
    node.field("card", moved.card);
  }
  node.field("port", moved.port);
  node.field("step", moved.step);
  if (!moved.text.empty()) {
    node.field("text", moved.text);
  }
}

}  // namespace

InspectNode event_node(const GuestEvent& event) {
  InspectNode node;
  node.field("time", time_text(event.time));
  node.field("guest", event.guest);
  std::visit([&node](const auto& what) { add_fields(node, what); }, event.what);
  return node;
}

std::uint64_t GuestEvents::add(GuestObserver observer) {
  const MutexLock lock(mutex_);
  observers_.push_back({++last_number_, std::move(observer)});
  return last_number_;
}

void GuestEvents::remove(std::uint64_t observer) {
  const MutexLock lock(mutex_);
  std::erase_if(observers_, [observer](const Entry& entry) { return entry.number == observer; });
}

void GuestEvents::publish(GuestEvent event) {
  event.guest = guest_;
  const MutexLock lock(mutex_);
  event.time = std::chrono::system_clock::now();  // under the lock: times are in order, too
  for (const Entry& entry : observers_) {
    entry.observer(event);
  }
}

}  // namespace gpuvm
