// SPDX-License-Identifier: MIT
#include "command.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include "output.hpp"
#include "suggest.hpp"
#include "text.hpp"

namespace peer_relay::app {
namespace {

std::string home_dir() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') return home;
  const passwd* user = getpwuid(getuid());
  return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "";
}

/// CLI11's help in 80 columns: a description goes on under itself.
class Help : public CLI::Formatter {
 public:
  Help() { label("REQUIRED", ""); }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    const std::string name =
        "  " + make_option_name(option, is_positional) + make_option_opts(option);
    std::string text;
    std::string line = name;
    line.resize(std::max(line.size() + 1, column), ' ');
    if (name.size() + 2 > column) {  // no room beside it
      text = name + "\n";
      line.assign(column, ' ');
    }
    std::istringstream words{make_option_desc(option)};
    for (std::string word; words >> word;) {
      if (line.size() + word.size() > width) {
        text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
        line.assign(column, ' ');
      }
      line += word + " ";
    }
    return text + line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }

 private:
  static constexpr std::size_t column = 29;
  static constexpr std::size_t width = 80;
};

/// CLI11's sentences, as a person would say them.
std::string in_our_voice(const CLI::ParseError& error) {
  std::string text = error.what();
  const std::string name = text.substr(0, text.find(':'));
  if (text.ends_with(" missing")) return name + " needs a value";
  if (text.find("At Most 1 required") != std::string::npos) return name + " may be given once only";
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z' && text.size() > 1 && text[1] >= 'a') {
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  }
  return text;
}

}  // namespace

Command::Command(const std::string& verb, const std::string& summary, const std::string& examples)
    : app_{summary + "\n", "peer-relay " + verb}, verb_{verb} {
  app_.set_help_flag("-h,--help", "Show this, and end");
  app_.footer("Examples:\n" + examples);
  app_.formatter(std::make_shared<Help>());
  app_.allow_extras();  // parse() explains them better
}

CLI::Option* Command::flag(const std::string& names, bool& value, const std::string& help) {
  return app_.add_flag(names, value, help);
}

CLI::Option* Command::text(const std::string& name, std::string& value, const std::string& what,
                           const std::string& help) {
  return app_.add_option(name, value, help)->type_name(what);
}

CLI::Option* Command::texts(const std::string& name, std::vector<std::string>& values,
                            const std::string& what, const std::string& help) {
  return app_.add_option(name, values, help)->type_name(what)->allow_extra_args(false);
}

CLI::Option* Command::time(const std::string& name, Duration& value, const std::string& help) {
  const auto read = [name, &value](const std::string& text) {
    const auto duration = parse_duration(text);
    if (!duration) {
      throw CLI::ValidationError(name, fmt::format("'{}' is no time, as 500ms, 10s or 2m", text));
    }
    value = *duration;
  };
  return app_.add_option_function<std::string>(name, read, help)
      ->type_name("TIME")
      ->default_str(duration_text(value));
}

CLI::Option* Command::number(const std::string& name, std::uint64_t& value, std::uint64_t smallest,
                             std::uint64_t largest, const std::string& help) {
  const auto read = [=, &value](const std::string& text) {
    // lexical_cast takes "-1" for a large number.
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || !CLI::detail::lexical_cast(text, value) || value < smallest || value > largest) {
      throw CLI::ValidationError(
          name, fmt::format("'{}' is no number from {} to {}", text, smallest, largest));
    }
  };
  return app_.add_option_function<std::string>(name, read, help)->type_name("N");
}

CLI::Option* Command::port(std::optional<std::uint16_t>& value, const std::string& help,
                           const std::string& names) {
  const auto read = [&value, name = names.substr(0, names.find(','))](const std::string& text) {
    unsigned number = 0;
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || !CLI::detail::lexical_cast(text, number) || number > 65'535) {
      throw CLI::ValidationError(name, fmt::format("'{}' is no port: 0 to 65535", text));
    }
    value = static_cast<std::uint16_t>(number);
  };
  return app_.add_option_function<std::string>(names, read, help)->type_name("PORT");
}

CLI::Option* Command::id(NodeId& value, const std::string& help) {
  const auto read = [&value](const std::string& text) {
    const auto id = NodeId::from_hex(text);
    if (!id) {
      throw CLI::ValidationError(
          "ID", fmt::format("'{}' is no node id, which is 40 hex digits", escaped(text, 60)));
    }
    value = *id;
  };
  return app_.add_option_function<std::string>("ID", read, help)->required()->type_name("");
}

std::optional<int> Command::parse(Arguments arguments) {
  std::ranges::reverse(arguments.words);  // the order that CLI11 takes a vector in
  try {
    app_.parse(std::move(arguments.words));
  } catch (const CLI::CallForHelp&) {
    print(app_.help());
    return status_ok;
  } catch (const CLI::RequiredError& error) {
    const auto extras = app_.remaining();  // what was mistyped is probably what is missing
    if (!extras.empty()) return usage_error(strangers(extras));
    return usage_error(in_our_voice(error));
  } catch (const CLI::ParseError& error) {
    return usage_error(in_our_voice(error));
  }
  const auto extras = app_.remaining();
  if (!extras.empty()) return usage_error(strangers(extras));
  return std::nullopt;
}

/// Names the first word that nobody asked for.
std::string Command::strangers(const std::vector<std::string>& words) const {
  const std::string word = words.front().substr(0, words.front().find('='));
  if (word.starts_with("--")) {
    return fmt::format("no option {}{}", escaped(word, 60), did_you_mean(word, long_names()));
  }
  if (word.starts_with("-") && word.size() > 1) return "no option " + escaped(word, 60);
  return fmt::format("one word too many: '{}' (a text of several words needs quotes)",
                     escaped(words.front(), 60));
}

std::vector<std::string> Command::long_names() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : app_.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

int Command::usage_error(const std::string& sentence) const {
  complain(fmt::format("{}: {}", verb_, sentence));
  write_all(STDERR_FILENO, fmt::format("Try 'peer-relay {} --help'.\n", verb_));
  return status_error;
}

std::optional<int> Command::read_config(const std::string& path) {
  std::ifstream file{path};
  std::string mistake = file ? "" : "this file can't be read";
  try {
    if (file) {
      for (const CLI::ConfigItem& item : CLI::ConfigTOML{}.from_config(file)) {
        mistake = take(item);
        if (!mistake.empty()) break;
      }
    }
  } catch (const CLI::ParseError& error) {
    mistake = in_our_voice(error);
  }
  if (mistake.empty()) return std::nullopt;
  complain(fmt::format("{}: {}: {}", verb_, escaped(path), mistake));
  return status_error;
}

/// Empty, or what is wrong with it.
std::string Command::take(const CLI::ConfigItem& item) {
  if (!item.parents.empty()) {
    return fmt::format("no section [{}] is known; all keys stand at the top",
                       escaped(item.parents.front(), 60));
  }
  std::vector<std::string> keys;
  for (const std::string& name : long_names()) keys.push_back(name.substr(2));
  std::erase_if(keys, [](const std::string& key) { return key == "help" || key == "config"; });
  if (std::ranges::find(keys, item.name) == keys.end()) {
    return fmt::format("unknown key '{}'{}", escaped(item.name, 60), did_you_mean(item.name, keys));
  }
  for (const std::string& value : item.inputs) {
    // The reader takes a # for a comment even inside quotes.
    if (value.starts_with('"') || value.starts_with('\'')) {
      return fmt::format("{}: quotes that do not end, or a # inside them", item.name);
    }
  }
  CLI::Option* option = app_.get_option("--" + item.name);
  if (option->count() > 0) return "";  // the command line wins
  if (option->get_type_size() == 0) {  // a flag
    option->add_result(item.inputs.empty() ? "true" : item.inputs.front());
  } else {
    option->add_result(item.inputs);
  }
  option->run_callback();
  return "";
}

std::string default_state_dir() {
  // The specification wants an absolute path, and any other ignored (XDG Base Directory).
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return std::string{state} + "/peer-relay";
  }
  const std::string home = home_dir();
  return home.empty() ? "" : home + "/.local/state/peer-relay";
}

std::string home_shortened(const std::string& path) {
  const std::string home = home_dir();
  if (home.size() > 1 && path.starts_with(home + "/")) return "~" + path.substr(home.size());
  return path;
}

}  // namespace peer_relay::app
