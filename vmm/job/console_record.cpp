// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/console_record.hpp"

#include "vmm/base/log.hpp"
#include "vmm/control/guest_events.hpp"
#include "vmm/job/artifact_folder.hpp"

namespace gpuvm {
namespace {

/// The end of a text, from the beginning of a line.
std::string last_lines(const std::string& text, std::size_t most) {
  if (text.size() <= most) {
    return text;
  }
  const auto begin = text.size() - most;
  const auto end_of_line = text[begin - 1] == '\n' ? begin - 1 : text.find('\n', begin);
  return end_of_line == std::string::npos ? text.substr(begin) : text.substr(end_of_line + 1);
}

}  // namespace

void ConsoleRecord::line(const ConsoleLine& line) {
  tail_ += line.text;
  tail_ += '\n';
  if (tail_.size() > 2 * kTail) {
    tail_ = last_lines(tail_, kTail);
  }
  if (!file_) {
    return;
  }
  const std::string text = fmt::format("{} {}\n", time_text(line.time), line.text);
  if (written_ + text.size() > kMostInFile || left_out_ > 0) {
    ++left_out_;
    return;
  }
  written_ += text.size();
  write(text);
}

/// A full disk costs the record, not the job.
void ConsoleRecord::write(const std::string& text) {
  if (const auto written = write_whole(file_.get(), text, name_); !written) {
    log::warn("{}: the console is not recorded any more", written.error().to_string());
    file_.reset();
  }
}

void ConsoleRecord::finish() {
  if (file_ && left_out_ > 0) {
    write(fmt::format("gpuvm: {} more lines are left out: the file has {} MiB\n", left_out_,
                      kMostInFile >> 20));
  }
}

std::string ConsoleRecord::tail() const {
  return last_lines(tail_, kTail);
}

}  // namespace gpuvm
