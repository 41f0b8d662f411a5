// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/console_record.hpp"

#include <utility>

#include "vmm/control/guest_events.hpp"
#include "vmm/test_report/console_line.hpp"

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

std::string with_time(std::chrono::system_clock::time_point time, const std::string& text) {
  return fmt::format("{} {}\n", time_text(time), text);
}

Result<std::unique_ptr<RecordFile>> record_in(const ArtifactFolder& folder, const char* name) {
  RecordFile::Options options;
  options.name = folder.path_of(name);
  options.most = ConsoleRecord::kMostInFile;
  options.remark = [](const std::string& text) {
    return with_time(std::chrono::system_clock::now(), text);
  };
  auto file = TRY(folder.create(name));
  return RecordFile::start(std::move(file), std::move(options));
}

}  // namespace

Result<std::unique_ptr<ConsoleRecord>> ConsoleRecord::in(const ArtifactFolder& folder) {
  auto all = TRY(record_in(folder, "console.log"));
  auto of_kernel = TRY(record_in(folder, "dmesg.log"));
  return std::make_unique<ConsoleRecord>(std::move(all), std::move(of_kernel));
}

void ConsoleRecord::line(const ConsoleLine& line) {
  tail_ += line.text;
  tail_ += '\n';
  if (tail_.size() > 2 * kTail) {
    tail_ = last_lines(tail_, kTail);
  }
  if (all_) {
    all_->add(with_time(line.time, line.text));
  }
  if (of_kernel_ && is_kernel_log(line.text)) {
    of_kernel_->add(line.text + "\n");
  }
}

void ConsoleRecord::finish() {
  for (RecordFile* const file : {all_.get(), of_kernel_.get()}) {
    if (file != nullptr) {
      file->finish();
    }
  }
}

std::string ConsoleRecord::tail() const {
  return last_lines(tail_, kTail);
}

}  // namespace gpuvm
