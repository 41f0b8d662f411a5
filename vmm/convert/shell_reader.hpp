// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the commands of a shell script, one after the other, with what the script
// itself puts into their words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/convert/readers.hpp"
#include "vmm/convert/shell_variables.hpp"

namespace gpuvm::convert {

struct ShellCommand {
  std::vector<Word> words = {};
  std::vector<Word> redirections = {};  ///< ">log", "3<>/dev/tap3"
  Notes notes = {};                     ///< what in them only a running shell knows
  /// The command ended where it seems to go on: a comment or an empty line is between.
  bool is_torn = false;
};

class ShellReader {
 public:
  /// `variables` are set and put in; `first_line` is the number of the text's first line.
  ShellReader(std::string_view text, std::string label, std::size_t first_line,
              ShellVariables& variables)
      : text_(text), label_(std::move(label)), line_(first_line), variables_(variables) {}

  /// The next command with words; nothing at the end of the text. Errors: kConfig with
  /// LABEL:LINE:COLUMN where a quote has no end.
  Result<std::optional<ShellCommand>> next_command();

  /// Here-documents with a guest in them, which are not read.
  const Notes& hidden() const { return hidden_; }

 private:
  struct HereDocument {
    std::string end;
    bool has_tabs = false;  ///< "<<-": tabs before its end
    std::size_t line = 0;
  };

  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void step();
  void begin_word();
  void end_word();
  Status read_command();
  bool is_end(char c) const;
  void read_end();
  Status read_piece(char c);
  void read_comment();
  void read_escape();
  Status read_quoted(char quote);
  void read_redirection();
  void read_here_document_name(std::size_t line);
  void skip_here_documents();
  void skip_here_document(const HereDocument& document);
  void read_bracket(char c);
  void store_array();
  void read_expansion(bool is_quoted);
  void read_parameter(std::size_t start, bool is_quoted);
  void skip_substitution();
  void expand(std::string_view inside, std::string_view whole, bool is_quoted);
  std::string expand_default(std::string_view text);
  void keep(std::string_view whole);
  void put(const std::vector<std::string>& values, bool is_all, bool is_quoted);
  void put_one(std::string_view value, bool is_quoted);
  void follow_blocks();
  bool take_assignments();
  /// The line of the condition or loop that an assignment of this line is below; 0: none.
  std::size_t condition(std::size_t line) const;

  std::string_view text_;
  std::string label_;
  std::size_t at_ = 0;
  std::size_t line_;
  std::size_t line_start_ = 0;
  ShellVariables& variables_;
  unsigned depth_ = 0;  ///< of defaults in each other
  ShellCommand command_ = {};
  Word word_ = {};
  bool in_word_ = false;
  bool is_quoted_word_ = false;  ///< some of it was in quotes: no keyword
  bool is_redirection_ = false;  ///< the word that comes is a file's name
  bool in_array_ = false;
  std::string array_ = {};
  bool was_continued_ = false;  ///< the line before ended with a backslash
  bool is_guarded_ = false;     ///< behind "&&" or "||"
  bool is_next_guarded_ = false;
  std::vector<std::size_t> blocks_ = {};  ///< lines of the conditions and loops that are open
  std::vector<HereDocument> here_documents_ = {};
  Notes hidden_ = {};
};

}  // namespace gpuvm::convert
