package docs_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"holdfast/config"
)

func unmarshal(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

type service struct {
	Image       string
	Build       string
	Command     []string
	Environment map[string]string
	Ports       []string
	Volumes     []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	ReadOnly    bool                                  `yaml:"read_only"`
}

type composition struct {
	Services map[string]service
	Volumes  map[string]any
}

// given stands for the variables that whoever starts the composition sets.
var given = regexp.MustCompile(`\$\{(\w+)[^}]*\}`)

// TestContainersAreConfigured loads the configuration that each container gets: from the Dockerfile, and from compose.yaml over it.
func TestContainersAreConfigured(t *testing.T) {
	t.Parallel()
	image := imageVariables(t)
	if len(image) == 0 {
		t.Fatal("the Dockerfile sets no variable")
	}
	var c composition
	unmarshal(t, "compose.yaml", &c)
	shops := 0
	for name, s := range c.Services {
		if s.Build == "" {
			continue
		}
		variables := map[string]string{}
		for key, value := range image {
			variables[key] = value
		}
		for key, value := range s.Environment {
			variables[key] = given.ReplaceAllString(value, "0123456789abcdef0123456789abcdef")
		}
		loaded, err := config.Load(config.Sources{Environ: environ(variables)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(s.Ports) == 0 {
			continue // a command that serves nobody
		}
		shops++
		if loaded.Profile != config.Production {
			t.Errorf("%s runs in the profile %s", name, loaded.Profile)
		}
		_, inside, _ := strings.Cut(strings.TrimPrefix(s.Ports[0], "127.0.0.1:"), ":")
		if !strings.HasSuffix(loaded.Listen, ":"+inside) {
			t.Errorf("%s publishes port %s and listens on %s", name, inside, loaded.Listen)
		}
	}
	if shops != 2 {
		t.Errorf("compose.yaml has %d instances, want 2", shops)
	}
}

// TestContainersFitTogether follows what the services of compose.yaml say of each other, and Prometheus of them.
func TestContainersFitTogether(t *testing.T) {
	t.Parallel()
	var c composition
	unmarshal(t, "compose.yaml", &c)
	for name, s := range c.Services {
		for other := range s.DependsOn {
			if _, exists := c.Services[other]; !exists {
				t.Errorf("%s depends on %s, which does not exist", name, other)
			}
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, "./") {
				if len(filesBelow(t, path.Clean(source))) == 0 {
					t.Errorf("%s mounts %s, which is empty", name, source)
				}
			} else if _, exists := c.Volumes[source]; !exists {
				t.Errorf("%s uses the volume %s, which is not declared", name, source)
			}
		}
		for key, value := range s.Environment {
			if host := regexp.MustCompile(`^\w+://(?:[^@/]*@)?([\w-]+):`).FindStringSubmatch(given.ReplaceAllString(value, "x")); host != nil {
				if _, exists := c.Services[host[1]]; !exists {
					t.Errorf("%s: %s names the host %s, which is no service", name, key, host[1])
				}
			}
		}
	}
	redis := strings.Join(c.Services["redis"].Command, " ")
	for _, want := range []string{"--appendonly yes", "--maxmemory-policy noeviction"} {
		if !strings.Contains(redis, want) {
			t.Errorf("Redis runs without %s: %s", want, redis)
		}
	}
	var prometheus struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	const directory = "deploy/prometheus"
	unmarshal(t, directory+"/prometheus.yml", &prometheus)
	for _, file := range prometheus.RuleFiles {
		read(t, directory+"/"+file)
	}
	targets := 0
	for _, scrape := range prometheus.ScrapeConfigs {
		for _, static := range scrape.StaticConfigs {
			for _, target := range static.Targets {
				targets++
				name, port, _ := strings.Cut(target, ":")
				s, exists := c.Services[name]
				if !exists || s.Environment["HOLDFAST_ADMIN_LISTEN"] != "0.0.0.0:"+port {
					t.Errorf("Prometheus scrapes %s, where compose.yaml serves no metrics", target)
				}
				if slices.ContainsFunc(s.Ports, func(p string) bool { return strings.HasSuffix(p, ":"+port) }) {
					t.Errorf("compose.yaml publishes the metrics of %s", name)
				}
			}
		}
	}
	if targets != 2 {
		t.Errorf("Prometheus scrapes %d targets, want 2", targets)
	}
}

// imageVariables are what the Dockerfile sets in the image.
func imageVariables(t *testing.T) map[string]string {
	t.Helper()
	variables := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^ENV +(.*)$`).FindAllStringSubmatch(read(t, "Dockerfile"), -1) {
		for _, setting := range strings.Fields(line[1]) {
			key, value, _ := strings.Cut(setting, "=")
			variables[key] = value
		}
	}
	return variables
}

func environ(variables map[string]string) []string {
	var all []string
	for key, value := range variables {
		all = append(all, key+"="+value)
	}
	return all
}

func filesBelow(t *testing.T, directory string) []string {
	t.Helper()
	return slices.DeleteFunc(files(t, ".yml"), func(f string) bool { return !strings.HasPrefix(f, directory+"/") })
}

// TestYAML parses every YAML file: nothing else reads those of .github before they are pushed.
func TestYAML(t *testing.T) {
	t.Parallel()
	parsed := slices.Concat(files(t, ".yml"), files(t, ".yaml"))
	for _, file := range parsed {
		var content map[string]any
		unmarshal(t, file, &content)
		if len(content) == 0 {
			t.Errorf("%s is empty", file)
		}
	}
	if !slices.Contains(parsed, ".github/workflows/ci.yml") {
		t.Error("the workflow has not been found")
	}
}
