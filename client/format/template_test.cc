#include "client/format/template.h"

#include <gtest/gtest.h>

namespace berth::client {
namespace {

const char kDocument[] = R"({
  "Name": "web", "Id": "abc", "Running": true, "Exit": 0, "Big": 12345678901, "Share": 0.5,
  "State": {"Status": "running", "Pid": 42, "Health": null},
  "Labels": {"a": "1", "com.x/y": "2"}, "Empty": {}, "None": [],
  "Mounts": [{"Source": "/s", "Destination": "/d"}, {"Source": "/t", "Destination": "/e"}],
  "Ports": ["80/tcp", "443/tcp"]})";

// The output, or "!" and the error.
std::string Render(absl::string_view source) {
  TemplateMethods methods;
  methods["Label"] = [](const Json& row,
                        const std::vector<Json>& arguments) -> absl::StatusOr<Json> {
    if (arguments.size() != 1) return absl::InvalidArgumentError("wants a key");
    return Json(StringAt(row["Labels"], arguments[0].get<std::string>().c_str()));
  };
  auto parsed = Template::Parse(source, methods);
  if (!parsed.ok()) return "!" + std::string(parsed.status().message());
  auto output = parsed->Execute(*ParseJson(kDocument));
  return output.ok() ? *output : "!" + std::string(output.status().message());
}

TEST(TemplateTest, TextAndFields) {
  EXPECT_EQ(Render("plain"), "plain");
  EXPECT_EQ(Render("{{.Name}}/{{.State.Status}} {{ .State.Pid }}"), "web/running 42");
  EXPECT_EQ(Render("{{.Running}} {{.Exit}} {{.Big}} {{.Share}}"), "true 0 12345678901 0.5");
  EXPECT_EQ(Render("{{.Ports}} {{.Labels}} {{.Empty}} {{.State.Health}}"),
            "[80/tcp 443/tcp] map[a:1 com.x/y:2] map[] <no value>");
}

TEST(TemplateTest, Json) {
  EXPECT_EQ(Render("{{json .State}}"), R"({"Status":"running","Pid":42,"Health":null})");
  EXPECT_EQ(Render("{{.Ports | json}}"), R"(["80/tcp","443/tcp"])");
}

TEST(TemplateTest, ConditionsTakeTheRightBranch) {
  EXPECT_EQ(Render("{{if .Running}}up{{else}}down{{end}}"), "up");
  EXPECT_EQ(Render("{{if .Exit}}bad{{else if .None}}list{{else}}fine{{end}}"), "fine");
  EXPECT_EQ(Render("{{if and .Running (eq .State.Pid 42)}}both{{end}}"), "both");
  EXPECT_EQ(Render("{{if or .Exit .State.Health}}some{{else}}none{{end}}"), "none");
  EXPECT_EQ(Render("{{if not .Running}}x{{end}}."), ".");
  EXPECT_EQ(Render("{{with .State}}{{.Pid}}{{end}}{{with .State.Health}}x{{else}}-{{end}}"), "42-");
  // The second value is not looked at: it would be an error.
  EXPECT_EQ(Render("{{or .Name (index .None 3)}}"), "web");
}

TEST(TemplateTest, Ranges) {
  EXPECT_EQ(Render("{{range .Mounts}}{{.Source}}:{{.Destination}} {{end}}"), "/s:/d /t:/e ");
  EXPECT_EQ(Render("{{range $i, $p := .Ports}}{{if $i}},{{end}}{{$i}}={{$p}}{{end}}"),
            "0=80/tcp,1=443/tcp");
  EXPECT_EQ(Render("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}"), "a=1;com.x/y=2;");
  EXPECT_EQ(Render("{{range .None}}x{{else}}empty{{end}}"), "empty");
  EXPECT_EQ(Render("{{range .Ports}}{{$.Name}}{{break}}{{end}}"), "web");
  EXPECT_EQ(Render("{{range $i, $p := .Ports}}{{if eq $i 0}}{{continue}}{{end}}{{$p}}{{end}}"),
            "443/tcp");
}

TEST(TemplateTest, VariablesLiveInTheirBlock) {
  EXPECT_EQ(Render("{{$n := .Name}}{{with .State}}{{$n}}{{end}}"), "web");
  EXPECT_EQ(Render("{{$n := 1}}{{if true}}{{$n = 2}}{{end}}{{$n}}"), "2");
  EXPECT_EQ(Render("{{$n := 1}}{{if true}}{{$n := 2}}{{$n}}{{end}}{{$n}}"), "21");
  EXPECT_EQ(Render("{{if true}}{{$n := 2}}{{end}}{{$n}}"),
            "!template, column 32: $n was never set; {{$n := ...}} sets it");
}

TEST(TemplateTest, Functions) {
  EXPECT_EQ(Render(R"({{index .Labels "com.x/y"}}{{index .Labels "none"}}{{index .Ports 1}})"),
            "2443/tcp");
  EXPECT_EQ(Render(R"({{(index .Mounts 1).Source}} {{(index .Mounts 0).Destination}})"), "/t /d");
  EXPECT_EQ(Render(R"({{join .Ports ", "}} {{len .Ports}} {{upper .Name}} {{title "a b"}})"),
            "80/tcp, 443/tcp 2 WEB A B");
  EXPECT_EQ(Render(R"({{index (split "a/b/c" "/") 1}} {{lower "ABC"}} {{slice "abcd" 1 3}})"),
            "b abc bc");
  EXPECT_EQ(Render(R"({{pad .Name 1 2}}| {{truncate .Name 2}} {{println "x" 1}})"),
            " web  | we x 1\n");
  EXPECT_EQ(Render(R"({{eq .Name "a" "web"}} {{ne 1 2}} {{lt 1 2}} {{ge "b" "a"}} {{gt 1.5 2}})"),
            "true true true true false");
  EXPECT_EQ(Render(R"({{print "a" 1 2 "b"}})"), "a1 2b");
  EXPECT_EQ(Render(R"({{.Label "a"}}-{{.Label "none"}})"), "1-");
}

TEST(TemplateTest, Printf) {
  EXPECT_EQ(Render(R"({{printf "%s=%d|%5d|%-5s|%05d|%x|%q" .Name 7 7 "a" 42 255 "q\"x"}})"),
            R"(web=7|    7|a    |00042|ff|"q\"x")");
  EXPECT_EQ(Render(R"({{printf "%.2f %v %t %% %.2s" .Share .Ports true "abc"}})"),
            "0.50 [80/tcp 443/tcp] true % ab");
  EXPECT_EQ(Render(R"({{.Name | printf "%s-%s" .Id}})"), "abc-web");
  EXPECT_EQ(Render(R"({{printf "%d" "x"}} {{printf "%s"}} {{printf "a" 1}})"),
            "%!d(string=x) %!s(MISSING) a%!(EXTRA int64=1)");
}

TEST(TemplateTest, TrimsAndComments) {
  EXPECT_EQ(Render("a  {{- .Name -}}  b"), "awebb");
  EXPECT_EQ(Render("a {{- /* nothing */ -}} b{{/* x */}}c"), "abc");
  EXPECT_EQ(Render("{{-1}}"), "-1");
  EXPECT_EQ(Render("{{`raw \\n`}}{{\"\\t\\u00e9\\x41\"}}{{'a'}}"),
            "raw \\n\t\xc3\xa9"
            "A97");
}

TEST(TemplateTest, MistakesAreNamedWithTheirPlace) {
  EXPECT_EQ(Render("{{.Name"), "!template, column 1: this {{ has no }}");
  EXPECT_EQ(Render("ab {{if .Name}}x"), "!template, column 4: this block has no {{end}}");
  EXPECT_EQ(Render("x\n{{end}}"),
            "!template, line 2, column 1: {{end}} without an {{if}}, "
            "{{range}} or {{with}}");
  EXPECT_EQ(Render("{{}}"), "!template, column 3: a value is missing here");
  EXPECT_EQ(Render("{{(.Name}}"), "!template, column 9: the action ends too early");
  EXPECT_EQ(Render("{{.Name .Id}}"), "!template, column 3: .Name takes no arguments");
  EXPECT_EQ(Render("{{.Nme}}").substr(0, 40), "!template, column 3: there is no field .");
  EXPECT_NE(Render("{{.State.Nme}}").find("(there are: Status, Pid, Health, Label)"),
            std::string::npos)
      << Render("{{.State.Nme}}");
  EXPECT_EQ(Render("{{name}}").substr(0, 53),
            "!template, column 3: function \"name\" is not known (kn");
  EXPECT_EQ(Render("{{index .Ports 9}}"),
            "!template, column 3: index: index 9 is outside of a list of 2");
  EXPECT_EQ(Render("{{define \"x\"}}{{end}}").substr(0, 36),
            "!template, column 3: {{define}} is n");
  EXPECT_EQ(Render("{{break}}"), "!template, column 1: {{break}} outside a {{range}}");
  EXPECT_EQ(Render("{{upper .Exit}}"), "!template, column 3: upper: expected a text, not 0");
}

TEST(TemplateTest, KeysOfUsersMayBeMissing) {
  EXPECT_EQ(Render("{{.Labels.a}}{{.Labels.none}}"), "1<no value>");
}

TEST(TemplateTest, NestingAndWorkAreBounded) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "{{if true}}";
  EXPECT_NE(Render(deep).find("nested too deeply"), std::string::npos);
  EXPECT_NE(Render("{{" + std::string(1000, '(') + "}}").find("nested too deeply"),
            std::string::npos);
  std::string wide = "x";
  for (int i = 0; i < 40; ++i) wide = "{{range $.Ports}}" + wide + "{{end}}";
  EXPECT_NE(Render(wide).find("reasonable time"), std::string::npos);
}

}  // namespace
}  // namespace berth::client
