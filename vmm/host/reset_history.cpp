// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/reset_history.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "vmm/host/state_file.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kLongestField = 1024;
constexpr std::size_t kLongestHistory = 32 << 10;
constexpr std::size_t kMostCards = 4096;
/// What a line can have is bounded by kLongestHistory; more fields than these are of a newer gpuvm.
constexpr std::size_t kMostFields = 16;

/// Fields are parted by tabs, lines by line feeds.
std::string history_field(std::string_view text) {
  std::string field(text.substr(0, kLongestField));
  std::replace_if(
      field.begin(), field.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return field;
}

std::uint64_t count_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && stop == text.data() + text.size() ? value : 0;
}

std::chrono::milliseconds time_in(std::string_view text) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 42;  // 2109; a clock's nanoseconds hold it
  return std::chrono::milliseconds(std::min(count_in(text), kMost));
}

/// The text up to `end`, which goes with it.
std::string_view take_until(std::string_view& text, char end) {
  const std::size_t size = std::min(text.find(end), text.size());
  const std::string_view part = text.substr(0, size);
  text.remove_prefix(std::min(size + 1, text.size()));
  return part;
}

using Fields = std::array<std::string_view, kMostFields>;

Fields split_fields(std::string_view text) {
  Fields fields;
  for (std::size_t i = 0; i < kMostFields && !text.empty(); ++i) {
    fields.at(i) = take_until(text, '\t');
  }
  return fields;
}

std::string note_text(const ResetNote& note) {
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::milliseconds>(note.time.time_since_epoch());
  return fmt::format(
      "note={}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", note.number, since_epoch.count(),
      note.duration.count(), history_field(note.owner), history_field(note.reason),
      history_field(note.method), history_field(note.usual), history_field(note.verdict),
      history_field(note.functions), history_field(note.did_not_help), history_field(note.text));
}

ResetNote note_in(std::string_view text) {
  const Fields fields = split_fields(text);
  ResetNote note;
  note.number = count_in(fields[0]);
  note.time = std::chrono::system_clock::time_point(time_in(fields[1]));
  note.duration = time_in(fields[2]);
  note.owner = fields[3];
  note.reason = fields[4];
  note.method = fields[5];
  note.usual = fields[6];
  note.verdict = fields[7];
  note.functions = fields[8];
  note.did_not_help = fields[9];
  note.text = fields[10];
  return note;
}

ResetTotal total_in(std::string_view text) {
  const Fields fields = split_fields(text);
  ResetTotal total;
  total.method = fields[0];
  total.verdict = fields[1];
  total.count = count_in(fields[2]);
  total.duration = time_in(fields[3]);
  return total;
}

void take_line(std::string_view line, ResetHistory& history) {
  const std::string_view key = take_until(line, '=');
  if (key == "count") {
    history.count = count_in(line);
  } else if (key == "harder") {
    history.harder = count_in(line);
  } else if (key == "failed") {
    history.failed = count_in(line);
  } else if (key == "total" && history.totals.size() < ResetHistory::kMostTotals) {
    history.totals.push_back(total_in(line));
  } else if (key == "note" && history.notes.size() < ResetHistory::kMostNotes) {
    history.notes.push_back(note_in(line));
  }
}

Result<std::string> read_history(int fd, const std::string& path) {
  std::string text(kLongestHistory, '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + path);
  }
  text.resize(static_cast<std::size_t>(got));
  return text;
}

}  // namespace

void ResetHistory::add(ResetNote note) {
  note.number = ++count;
  harder += note.is_harder() ? 1U : 0U;
  failed += note.has_failed() ? 1U : 0U;
  auto total = std::find_if(totals.begin(), totals.end(), [&note](const ResetTotal& each) {
    return each.method == note.method && each.verdict == note.verdict;
  });
  if (total == totals.end() && totals.size() < kMostTotals) {
    total = totals.insert(total, {.method = note.method, .verdict = note.verdict});
  }
  if (total != totals.end()) {
    ++total->count;
    total->duration += note.duration;
  }
  if (notes.size() == kMostNotes) {
    notes.erase(notes.begin());
  }
  notes.push_back(std::move(note));
}

/// Where long texts leave no room, the oldest certificates go.
std::string ResetHistory::to_text() const {
  std::string head = fmt::format("count={}\nharder={}\nfailed={}\n", count, harder, failed);
  for (const ResetTotal& total : totals) {
    head += fmt::format("total={}\t{}\t{}\t{}\n", history_field(total.method),
                        history_field(total.verdict), total.count, total.duration.count());
  }
  std::string tail = fmt::format("{}\n", kStateEnd);
  for (auto note = notes.rbegin(); note != notes.rend(); ++note) {
    const std::string line = note_text(*note);
    if (head.size() + line.size() + tail.size() > kLongestHistory) {
      break;
    }
    tail.insert(0, line);
  }
  return head + tail;
}

std::optional<ResetHistory> ResetHistory::parse(std::string_view text) {
  ResetHistory history;
  while (!text.empty()) {
    const bool is_whole = text.find('\n') != std::string_view::npos;
    const std::string_view line = take_until(text, '\n');
    if (line == kStateEnd && is_whole) {
      return history;  // what follows is the rest of an older text
    }
    take_line(line, history);
  }
  return std::nullopt;
}

std::optional<ResetHistory> read_reset_history(const HostSystem& host, const Bdf& card) {
  const std::string path = host.path(fmt::format("{}/{}", kResetFolder, card.to_string()));
  // Nothing that waits: a name in this folder is root's, but need not be a file.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    return std::nullopt;
  }
  const auto text = read_history(fd.get(), path);
  return text ? ResetHistory::parse(*text) : std::nullopt;
}

std::vector<Bdf> cards_with_history(const HostSystem& host) {
  std::vector<Bdf> cards;
  for (const std::string& name : host.list(kResetFolder)) {
    const auto bdf = Bdf::parse(name);
    if (bdf && bdf->to_string() == name && cards.size() < kMostCards) {
      cards.push_back(*bdf);
    }
  }
  return cards;
}

Result<ResetHistoryFile> ResetHistoryFile::open(const std::string& folder, const Bdf& card) {
  constexpr mode_t kReadable = 0644;
  const UniqueFd parent = TRY(open_state_folder(folder));
  const std::string name = card.to_string();
  std::string path = fmt::format("{}/{}", folder, name);
  UniqueFd fd(::openat(parent.get(), name.c_str(),
                       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kReadable));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot open " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorKind::kHost, "{} is no file: remove it", path);
  }
  return ResetHistoryFile(std::move(fd), std::move(path));
}

Status ResetHistoryFile::add(ResetNote note) {
  auto history = ResetHistory::parse(TRY(read_history(fd_.get(), path_))).value_or(ResetHistory{});
  history.add(std::move(note));
  const std::string text = history.to_text();
  const bool done =
      ::pwrite(fd_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
      ::ftruncate(fd_.get(), static_cast<off_t>(text.size())) == 0;
  return done ? Status() : Status(fail_errno(ErrorKind::kHost, "Cannot write " + path_));
}

}  // namespace gpuvm
