# SPDX-License-Identifier: Apache-2.0
#
# libtikv. `make help` lists the targets.
#
# One file, not recursive. Everything made lies in $(BUILD)/<variant>/, except
# the dependencies that every variant and every checkout shares: $(DEPS).
# Rooms (folders of src), tests, examples and programs are found by wildcard:
# a new file needs no line here.
#
#   BUILD=dir      where to build            V=1         show the commands
#   T=pattern      tests to run, by name     WERROR=1    warnings are errors
#   ROOMS="a b"    rooms that tests link     TEST_DIRS=  folders of tests
#   UPB_DIR=dir    unpacked upb, instead of the one `make deps` fetches
#   CC CFLAGS LDFLAGS PREFIX LIBDIR DESTDIR  as everywhere

BUILD ?= build
DEPS ?= build/deps
UPB ?= $(if $(UPB_DIR),$(UPB_DIR),$(DEPS)/upb)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
JOBS ?= 2
SEEDS ?= 50
AR ?= ar
OBJCOPY ?= objcopy
export UPB_DIR

ifeq ($(V),1)
Q :=
say := @:
else
Q := @
say := @printf '  %-8s %s\n'
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

# --- Version -----------------------------------------------------------------

version_of = $(shell sed -n \
    's/^.define TIKV_VERSION_$1 \([0-9]*\)$$/\1/p' include/tikv/version.h)
MAJOR := $(call version_of,MAJOR)
MINOR := $(call version_of,MINOR)
PATCH := $(call version_of,PATCH)
VERSION := $(MAJOR).$(MINOR).$(PATCH)
NODE := TIKV_$(MAJOR).$(MINOR)
ABI := $(if $(filter 0,$(MAJOR)),0.$(MINOR),$(MAJOR))

# --- Sources by room ---------------------------------------------------------

TIKV_ROOMS := base exec wire rpc pd region raw txn obs api
CLUSTER_ROOMS := base exec wire cluster cluster/serve
ALL_ROOMS := $(TIKV_ROOMS) cluster cluster/serve sim
ROOMS ?= $(ALL_ROOMS)

room_src = $(sort $(wildcard $(patsubst %,src/%/*.c,$1)))
TIKV_SRC := $(call room_src,$(TIKV_ROOMS))
CLUSTER_SRC := $(call room_src,$(CLUSTER_ROOMS))
INTERNAL_SRC := $(call room_src,$(ROOMS))
UPB_GEN_SRC := $(sort $(wildcard upb_gen/*.upb.c))
UPB_GEN_HEADERS := $(sort $(wildcard upb_gen/*.upb.h))
UPB_SRC := $(addprefix upb/upb/,arena.c decode.c encode.c \
    extension_registry.c msg.c status.c table.c upb.c) \
    upb/third_party/utf8_range/naive.c
HEADERS := $(sort $(wildcard include/tikv/*.h))

# Programs. In src/cli, playground_*.c belong to the playground, prog_*.c to
# both programs, and the rest to tikv-cli. In perf, bench_*.c and floor_*.c
# go by their names and perf_*.c to both.
CLI_SHARED := $(wildcard src/cli/prog_*.c)
PLAYGROUND_SRC := $(wildcard src/cli/tikv_playground.c \
    src/cli/playground_*.c) $(CLI_SHARED)
CLI_SRC := $(filter-out $(PLAYGROUND_SRC),$(wildcard src/cli/*.c)) \
    $(CLI_SHARED)
# The benchmark starts its cluster as tests of programs do.
PERF_SHARED := $(wildcard perf/perf_*.c tests/fixture/playground.c)
BENCH_SRC := $(wildcard perf/bench_*.c)
FLOOR_SRC := $(wildcard perf/floor_*.c)
MICRO_SRC := $(wildcard perf/micro/*.c)
# perf/run has programs of one file, over the public headers.
RUN_SRC := $(wildcard perf/run/*.c)
# perf/cluster sees the inside, and the tests' plain client.
PERF_CLUSTER_SRC := $(wildcard perf/cluster/*.c) tests/fixture/grpc_client.c
EXAMPLE_SRC := $(sort $(wildcard examples/*.c))
SIM_SRC := $(wildcard tests/sim/*.c)
DEMO_SRC := $(wildcard tests/demo/*.c)
HOUR_SRC := $(wildcard tests/hour/*.c)
LEADERS_SRC := $(wildcard tests/leaders/*.c) tests/fixture/leaders.c

PROGRAMS := $(if $(wildcard src/cli/tikv_cli.c),tikv-cli) \
    $(if $(wildcard src/cli/tikv_playground.c),tikv-playground)
PERF_TXN_SRC := $(wildcard perf/txn/*.c)
PERF_PROGRAMS := $(if $(BENCH_SRC),perf/tikv-bench) \
    $(if $(FLOOR_SRC),perf/perf-floor) perf/perf-cluster perf/perf-txn \
    $(patsubst perf/run/%.c,perf/perf-%,$(RUN_SRC)) \
    $(patsubst perf/micro/%.c,perf/micro/%,$(MICRO_SRC))

# --- Tests -------------------------------------------------------------------

# A test's name is its path with the folders joined: unit/region/cache_test.c
# is region_cache, client/raw_test.c is client_raw. T=region_cache chooses by
# a part of the name, T=region_cache.drops* also by the test function.
TEST_DIRS ?= unit client cluster abi
HARNESS_SRC := $(sort $(wildcard tests/harness/*.c))
# What tests share beyond the harness; a program links what it refers to.
FIXTURE_SRC := $(sort $(wildcard tests/fixture/*.c))
deep = $(wildcard tests/$1/*_test.c tests/$1/*/*_test.c \
    tests/$1/*/*/*_test.c tests/$1/*/*/*/*_test.c)
test_name = $(subst /,_,$(patsubst unit/%,%,$(patsubst tests/%_test.c,%,$1)))
T_PROGRAM := $(firstword $(subst ., ,$(T)))
T_FUNCTION := $(if $(findstring .,$(T)),$(word 2,$(subst ., ,$(T))))
wanted = $(if $(findstring $(T_PROGRAM),$(call test_name,$1) $1),$1)
chosen = $(sort $(foreach t,$(foreach d,$1,$(call deep,$d)), \
    $(if $(T_PROGRAM),$(call wanted,$t),$t)))
TORTURE_SRC := $(call chosen,torture)
# With a narrowed ROOMS only the tests of these rooms can link.
ifeq ($(sort $(ROOMS)),$(sort $(ALL_ROOMS)))
TEST_SRC := $(call chosen,$(TEST_DIRS))
# A whole run also proves the lints, the wire facts and the examples.
CHECK_SCRIPTS := $(if $(T),,$(wildcard tests/lint/*.t tests/examples/*.t \
    tests/model/*.t))
else
TEST_SRC := $(call chosen,$(addprefix unit/,$(ROOMS)))
endif
ALL_TEST_SRC := $(sort $(TEST_SRC) $(TORTURE_SRC))

# --- Flags -------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wcast-qual -Wcast-align -Wwrite-strings -Wundef \
    -Wvla -Wformat=2 -Wswitch-enum -Wimplicit-fallthrough \
    -Wnull-dereference -Wdouble-promotion
ifneq ($(filter 1 true,$(WERROR) $(CI)),)
WARN += -Werror
endif

# cmocka's asserts do not tell the compiler that they do not return, and
# instrumented code confuses this warning and others.
TEST_WARN := $(WARN) -Wno-null-dereference
warn_asan := -Wno-null-dereference -Wno-error
warn_ubsan := -Wno-null-dereference -Wno-error
warn_tsan := -Wno-null-dereference -Wno-error

MACHINE := $(shell uname -m)
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
    -fstack-clash-protection $(if $(filter x86_64,$(MACHINE)),-fcf-protection)

VARIANTS := release check asan ubsan tsan valgrind cover
flags_release := -O2 -g -DNDEBUG $(HARDEN)
flags_check := -O1 -g -DTK_DEBUG=1
flags_asan := $(flags_check) -fsanitize=address -fno-omit-frame-pointer
flags_ubsan := $(flags_check) -fsanitize=undefined \
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer
flags_tsan := $(flags_check) -fsanitize=thread -fno-omit-frame-pointer
flags_valgrind := $(flags_check)
flags_cover := -O0 -g -DTK_DEBUG=1 --coverage
link_release := -Wl,-z,relro -Wl,-z,now
shared_release := -Wl,-z,defs
link_asan := -fsanitize=address
link_ubsan := -fsanitize=undefined
link_tsan := -fsanitize=thread
link_cover := --coverage
# upb computes with pointers in ways that are its own affair.
upb_flags_ubsan := -fno-sanitize=all
# How much longer a test may take in that build.
stretch_release := 1
stretch_check := 1
stretch_asan := 5
stretch_ubsan := 5
stretch_tsan := 5
stretch_valgrind := 30
stretch_cover := 2

BASE_FLAGS := -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread
SYSTEM := -isystem upb_gen -isystem $(UPB)
INNER := -Iinclude -Isrc $(SYSTEM)
GRPC_LIBS ?= -lgrpc -lgpr
LIBS := $(GRPC_LIBS) -lurcu-bp -lurcu-common -llzma -lxxhash -pthread -lm
# TLS in front of the embedded cluster is its own; the client has gRPC's.
ALL_LIBS := $(LIBS) -lssl -lcrypto
SHARED_LIBS := -Wl,--as-needed $(ALL_LIBS)
CLI_LIBS := -ledit -lcjson -lcurl
# The library refers weakly to jemalloc's own entry points; programs and tests
# bring it, sanitizers and valgrind watch the plain allocator instead.
JEMALLOC := -Wl,--push-state,--no-as-needed -ljemalloc -Wl,--pop-state
jemalloc_release := $(JEMALLOC)
jemalloc_check := $(JEMALLOC)
jemalloc_cover := $(JEMALLOC)

# --- Rules of one variant ----------------------------------------------------

DEPS_STAMP := $(DEPS)/stamp.build

# $(call objects,variant,sources)
objects = $(patsubst %.c,$(BUILD)/$1/obj/%.o,$2)

# $(call compile,variant,flags)
define compile
$(say) CC $<
@mkdir -p $(@D)
$(Q)$(CC) $(BASE_FLAGS) $(flags_$1) $2 $(warn_$1) -MMD -MP $(CFLAGS) -c $< -o $@
endef

# $(call link,variant,objects,libraries)
define link
$(say) LD $@
@mkdir -p $(@D)
$(Q)$(CC) $(link_$1) -pthread $(LDFLAGS) $2 $3 $(jemalloc_$1) -o $@
endef

# $(call shared,variant,name,objects): the exported names come from the map.
define shared
$(say) LD $@
$(Q)$(CC) -shared $(link_$1) -Wl,-soname,lib$2.so.$(ABI) \
    -Wl,--version-script=$(BUILD)/$1/lib$2.map $(shared_$1) \
    $(LDFLAGS) $3 $(SHARED_LIBS) -o $@
endef

# $(call archive,variant,name,objects): one object in which only the public
# names are left, so that a static link meets neither our helpers nor our upb.
define archive
$(say) AR $@
@rm -f $@
$(Q)$(LD) -r -o $(BUILD)/$1/lib$2-all.o $3
$(Q)$(OBJCOPY) --localize-hidden \
    --keep-global-symbols=$(BUILD)/$1/lib$2.syms $(BUILD)/$1/lib$2-all.o
$(Q)$(AR) rcs $@ $(BUILD)/$1/lib$2-all.o
@rm -f $(BUILD)/$1/lib$2-all.o
endef

LD ?= ld

define variant_rules
$(BUILD)/$1/flags: FORCE | $(DEPS_STAMP)
	@mkdir -p $$(@D)
	@echo '$$(CC) $$(BASE_FLAGS) $$(flags_$1) $$(CFLAGS) $$(LDFLAGS)' | \
	    cmp -s - $$@ || echo '$$(CC) $$(BASE_FLAGS) $$(flags_$1) \
	    $$(CFLAGS) $$(LDFLAGS)' >$$@

$(call objects,$1,$(UPB_SRC)): | $(DEPS_STAMP)
$(call objects,$1,$(UPB_SRC)): $(BUILD)/$1/obj/upb/%.o: $(BUILD)/$1/flags
	$$(say) CC upb/$$*.c
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -std=gnu99 -fPIC -fvisibility=hidden -pthread \
	    $$(flags_$1) $$(upb_flags_$1) -w -I$$(UPB) $$(CFLAGS) \
	    -c $$(UPB)/$$*.c -o $$@

$(BUILD)/$1/obj/upb_gen/%.o: upb_gen/%.c $(UPB_GEN_HEADERS) $(BUILD)/$1/flags
	$$(say) CC $$<
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -std=gnu99 -fPIC -fvisibility=hidden $$(flags_$1) \
	    $$(upb_flags_$1) -w $$(SYSTEM) $$(CFLAGS) -c $$< -o $$@

$(BUILD)/$1/obj/src/cli/%.o: src/cli/%.c $(BUILD)/$1/flags
	$$(call compile,$1,$(WARN) -Iinclude -Isrc/cli)
$(BUILD)/$1/obj/src/%.o: src/%.c $(UPB_GEN_HEADERS) $(BUILD)/$1/flags
	$$(call compile,$1,$(WARN) $(INNER))
$(BUILD)/$1/obj/tests/%.o: tests/%.c $(UPB_GEN_HEADERS) $(BUILD)/$1/flags
	$$(call compile,$1,$(TEST_WARN) $(INNER) -Itests)
$(BUILD)/$1/obj/perf/micro/%.o: perf/micro/%.c $(BUILD)/$1/flags
	$$(call compile,$1,$(TEST_WARN) $(INNER) -Iperf)
$(BUILD)/$1/obj/perf/cluster/%.o: perf/cluster/%.c $(BUILD)/$1/flags
	$$(call compile,$1,$(TEST_WARN) $(INNER) -Iperf -Itests)
$(BUILD)/$1/obj/perf/%.o: perf/%.c $(BUILD)/$1/flags
	$$(call compile,$1,$(WARN) -Iinclude -Iperf -Itests)

$(BUILD)/$1/libtikv.map $(BUILD)/$1/libtikv.syms &: \
    $(filter-out include/tikv/cluster.h,$(HEADERS)) scripts/export_map.pl
	@mkdir -p $$(@D)
	$$(Q)perl scripts/export_map.pl $(NODE) $(BUILD)/$1/libtikv \
	    $$(filter %.h,$$^)
$(BUILD)/$1/libtikvcluster.map $(BUILD)/$1/libtikvcluster.syms &: \
    $(wildcard include/tikv/cluster.h) scripts/export_map.pl
	@mkdir -p $$(@D)
	$$(Q)perl scripts/export_map.pl $(NODE) $(BUILD)/$1/libtikvcluster \
	    $$(filter %.h,$$^)

OBJ_tikv_$1 := $(call objects,$1,$(TIKV_SRC) $(UPB_GEN_SRC) $(UPB_SRC))
OBJ_cluster_$1 := $(call objects,$1,$(CLUSTER_SRC) $(UPB_GEN_SRC) $(UPB_SRC))
OBJ_internal_$1 := $(call objects,$1,$(INTERNAL_SRC) $(UPB_GEN_SRC) $(UPB_SRC))

$(BUILD)/$1/libtikv.so.$(VERSION): $(BUILD)/$1/libtikv.map $$(OBJ_tikv_$1)
	$$(call shared,$1,tikv,$$(filter %.o,$$^))
	@ln -sf libtikv.so.$(VERSION) $(BUILD)/$1/libtikv.so.$(ABI)
	@ln -sf libtikv.so.$(ABI) $(BUILD)/$1/libtikv.so
$(BUILD)/$1/libtikvcluster.so.$(VERSION): $(BUILD)/$1/libtikvcluster.map \
    $$(OBJ_cluster_$1)
	$$(call shared,$1,tikvcluster,$$(filter %.o,$$^))
	@ln -sf libtikvcluster.so.$(VERSION) $(BUILD)/$1/libtikvcluster.so.$(ABI)
	@ln -sf libtikvcluster.so.$(ABI) $(BUILD)/$1/libtikvcluster.so
$(BUILD)/$1/libtikv.a: $(BUILD)/$1/libtikv.syms $$(OBJ_tikv_$1)
	$$(call archive,$1,tikv,$$(filter %.o,$$^))
$(BUILD)/$1/libtikvcluster.a: $(BUILD)/$1/libtikvcluster.syms \
    $$(OBJ_cluster_$1)
	$$(call archive,$1,tikvcluster,$$(filter %.o,$$^))
$(BUILD)/$1/libtk-internal.a: $$(OBJ_internal_$1)
	$$(say) AR $$@
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^

$(BUILD)/$1/libtk-fixture.a: $(call objects,$1,$(FIXTURE_SRC))
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^

$(BUILD)/$1/tikv-cli: $(call objects,$1,$(CLI_SRC)) $(BUILD)/$1/libtikv.a
	$$(call link,$1,$$^,$$(CLI_LIBS) $$(LIBS))
$(BUILD)/$1/tikv-playground: $(call objects,$1,$(PLAYGROUND_SRC)) \
    $(BUILD)/$1/libtikvcluster.a $(BUILD)/$1/libtikv.a
	$$(call link,$1,$$^,$$(ALL_LIBS))
$(BUILD)/$1/perf/tikv-bench: $(call objects,$1,$(BENCH_SRC) $(PERF_SHARED)) \
    $(BUILD)/$1/libtikvcluster.a $(BUILD)/$1/libtikv.a
	$$(call link,$1,$$^,-lcjson $$(ALL_LIBS))
$(BUILD)/$1/perf/perf-floor: $(call objects,$1,$(FLOOR_SRC) $(PERF_SHARED))
	$$(call link,$1,$$^,-lcjson $$(LIBS))
$(BUILD)/$1/perf/perf-txn: $(call objects,$1,$(PERF_TXN_SRC) \
    $(PERF_SHARED)) $(BUILD)/$1/libtikv.a
	$$(call link,$1,$$^,-lcjson $$(LIBS))
$(BUILD)/$1/perf/perf-cluster: $(call objects,$1,$(PERF_CLUSTER_SRC) \
    $(PERF_SHARED)) $(BUILD)/$1/libtk-internal.a
	$$(call link,$1,$$^,-lcjson $$(ALL_LIBS))
$(BUILD)/$1/perf/perf-%: $(BUILD)/$1/obj/perf/run/%.o \
    $(call objects,$1,$(PERF_SHARED)) $(BUILD)/$1/libtikvcluster.a \
    $(BUILD)/$1/libtikv.a
	$$(call link,$1,$$^,-lcjson $$(ALL_LIBS))
$(BUILD)/$1/perf/micro/%: $(BUILD)/$1/obj/perf/micro/%.o \
    $(call objects,$1,$(PERF_SHARED)) $(BUILD)/$1/libtk-internal.a
	$$(call link,$1,$$^,-lcjson $$(ALL_LIBS))
$(BUILD)/$1/demo: $(call objects,$1,$(DEMO_SRC) \
    $(wildcard tests/fixture/playground.c)) $(BUILD)/$1/libtikv.a
	$$(call link,$1,$$^,$$(LIBS))
$(BUILD)/$1/tikv-hour: $(call objects,$1,$(HOUR_SRC) \
    $(wildcard tests/fixture/playground.c)) $(BUILD)/$1/libtikv.a
	$$(call link,$1,$$^,$$(LIBS))
$(BUILD)/$1/tikv-leaders: $(call objects,$1,$(LEADERS_SRC)) \
    $(BUILD)/$1/libtk-internal.a
	$$(call link,$1,$$^,-lcjson $$(ALL_LIBS))
# The simulator reaches no gRPC code; --as-needed drops the library then.
$(BUILD)/$1/tikv-sim: $(call objects,$1,$(SIM_SRC)) \
    $(BUILD)/$1/libtk-internal.a
	$$(call link,$1,$$^,$$(SHARED_LIBS))
$(BUILD)/$1/tests/%_test: $(BUILD)/$1/obj/tests/%_test.o \
    $(call objects,$1,$(HARNESS_SRC)) \
    $(if $(FIXTURE_SRC),$(BUILD)/$1/libtk-fixture.a) \
    $(BUILD)/$1/libtk-internal.a
	$$(call link,$1,$$^,-lcmocka -lcjson $$(ALL_LIBS))

TESTS_$1 := $(patsubst tests/%.c,$(BUILD)/$1/tests/%,$(TEST_SRC))
TORTURE_$1 := $(patsubst tests/%.c,$(BUILD)/$1/tests/%,$(TORTURE_SRC))
LIBRARIES_$1 := $(BUILD)/$1/libtikv.so.$(VERSION) $(BUILD)/$1/libtikv.a \
    $(BUILD)/$1/libtikvcluster.so.$(VERSION) $(BUILD)/$1/libtikvcluster.a
PROGRAMS_$1 := $(addprefix $(BUILD)/$1/,$(PROGRAMS))
PERF_$1 := $(addprefix $(BUILD)/$1/,$(PERF_PROGRAMS))
-include $(patsubst %.c,$(BUILD)/$1/obj/%.d,$(sort $(INTERNAL_SRC) \
    $(TIKV_SRC) $(CLUSTER_SRC) $(CLI_SRC) $(PLAYGROUND_SRC) $(BENCH_SRC) \
    $(FLOOR_SRC) $(PERF_SHARED) $(MICRO_SRC) $(RUN_SRC) \
    $(PERF_CLUSTER_SRC) $(SIM_SRC) $(DEMO_SRC) \
    $(HOUR_SRC) $(LEADERS_SRC) $(HARNESS_SRC) \
    $(FIXTURE_SRC) \
    $(ALL_TEST_SRC)))
endef

$(foreach v,$(VARIANTS),$(eval $(call variant_rules,$v)))

# $(call run_tests,variant,programs)
run_tests = $(Q)$(run_line)
define run_line
TK_BUILD='$(abspath $(BUILD))' TK_VARIANT='$(abspath $(BUILD)/$1)' \
    TK_TEST_FUNCTION='$(T_FUNCTION)' TK_STRETCH=$(stretch_$1) \
    perl tests/harness/run.pl --jobs $(JOBS) $2
endef

PC_FILES := $(BUILD)/pc/tikv.pc $(BUILD)/pc/tikvcluster.pc

# --- Targets -----------------------------------------------------------------

.PHONY: all
all: $(LIBRARIES_release) $(PROGRAMS_release) $(PC_FILES) ## libraries, programs and pkg-config files, in $(BUILD)/release

.PHONY: deps
deps: ## install missing Debian packages, fetch upb into $(DEPS)
	$(Q)scripts/deps.sh $(DEPS) build

$(DEPS_STAMP): scripts/deps.sh
	$(Q)scripts/deps.sh $(DEPS) build

CHECK_NEEDS := $(if $(CHECK_SCRIPTS),$(LIBRARIES_release) \
    $(PROGRAMS_release) $(PROGRAMS_check) examples)

.PHONY: check
check: $(TESTS_check) $(CHECK_NEEDS) ## unit, client and cluster tests and the lints; T=pattern chooses
	$(call run_tests,check,$(TESTS_check) $(CHECK_SCRIPTS))

# Each instrument is its own variant and runs the same tests; the lints do not
# depend on the variant and run in `check` alone.
.PHONY: asan ubsan tsan
asan: $(TESTS_asan) ## the tests under AddressSanitizer and LeakSanitizer
	$(call run_tests,asan,$(TESTS_asan))
ubsan: $(TESTS_ubsan) ## the tests under UndefinedBehaviorSanitizer
	$(call run_tests,ubsan,$(TESTS_ubsan))
tsan: $(TESTS_tsan) ## the tests under ThreadSanitizer
	$(call run_tests,tsan,$(TESTS_tsan))

VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite
.PHONY: valgrind
valgrind: $(TESTS_valgrind) | deps-valgrind ## the tests under valgrind
	$(Q)TK_WRAPPER='$(VALGRIND)' $(call run_line,valgrind,$(TESTS_valgrind))

.PHONY: torture
torture: $(TORTURE_check) ## tests/torture: every allocation and fault point fails once
	$(if $(TORTURE_SRC),$(call run_tests,check,$(TORTURE_check)), \
	    @echo 'no tests in tests/torture')

.PHONY: model
model: ## the protocols, checked in every state: tests/model
	$(Q)perl tests/model/models.t

# tests/cluster/kill_test.c does 8 kills in `check`.
KILLS ?= 200
KILL_TEST := $(BUILD)/check/tests/cluster/kill_test
.PHONY: kills
kills: $(KILL_TEST) $(BUILD)/check/tikv-playground ## tikv-playground --data, killed KILLS=200 times under load
	$(Q)TK_KILLS=$(KILLS) TK_VARIANT='$(abspath $(BUILD)/check)' \
	    $(KILL_TEST)

LEADERS_KILLS ?= 1000
LEADERS_ARGS ?=
.PHONY: leaders
leaders: $(BUILD)/release/tikv-leaders ## PD leaders killed under load of timestamps, LEADERS_KILLS=1000
	$(Q)$(BUILD)/release/tikv-leaders \
	    --kills $(LEADERS_KILLS) \
	    $(LEADERS_ARGS)

# DURATION, in seconds, is another for `make perf`.
HOUR_ARGS ?=
.PHONY: hour
hour: $(BUILD)/release/tikv-hour $(BUILD)/release/tikv-playground ## the client under load in a breaking world, DURATION=3600 s
	$(Q)$(BUILD)/release/tikv-hour --duration $(or $(DURATION),3600) \
	    $(HOUR_ARGS)

LIVES ?= 1000
LIFE_TEST := $(BUILD)/check/tests/cluster/serve_life_test
.PHONY: lives
lives: $(LIFE_TEST) ## the served cluster started and stopped LIVES=1000 times, nothing stays
	$(Q)TK_LIVES=$(LIVES) $(LIFE_TEST)

.PHONY: cover
cover: $(TESTS_cover) | deps-cover ## line and branch coverage per room, against tests/cover.floors
	$(Q)find $(BUILD)/cover -name '*.gcda' -delete
	$(call run_tests,cover,$(TESTS_cover))
	$(Q)gcovr --root . --object-directory $(BUILD)/cover/obj --filter src/ \
	    --exclude-throw-branches --json-summary $(BUILD)/cover/summary.json \
	    --html-details $(BUILD)/cover/index.html --print-summary
	$(Q)perl scripts/cover_floors.pl $(BUILD)/cover/summary.json \
	    tests/cover.floors

.PHONY: lint
lint: $(LIBRARIES_release) ## rooms, names, headers, banned functions, lengths, tables
	$(call run_tests,release,$(wildcard tests/lint/*.t))

.PHONY: sim
sim: $(if $(SIM_SRC),$(BUILD)/check/tikv-sim) ## simulated clusters under faults, SEEDS=N of them
	$(if $(SIM_SRC),$(Q)$(BUILD)/check/tikv-sim --seeds $(SEEDS), \
	    @echo 'no simulator in tests/sim')

# The client with a mistake each, which the simulator has to find.
MUTANTS ?=
MUTANT_SEEDS ?= 60
.PHONY: sim-mutants
sim-mutants: $(DEPS_STAMP) ## clients with a mistake each, found by the simulator: MUTANTS=pattern MUTANT_SEEDS=60
	$(Q)perl scripts/sim_mutants.pl $(BUILD) $(DEPS) $(MUTANT_SEEDS) '$(MUTANTS)'

# Slower, so fewer worlds than `make sim`; one run of each.
SANE_SEEDS ?= 30
.PHONY: sim-asan sim-tsan
sim-asan sim-tsan: sim-%: $(BUILD)/%/tikv-sim ## simulated clusters under a sanitizer, SANE_SEEDS=30 of them
	$(Q)$< --seeds $(SANE_SEEDS) --once

# Fuzz targets are clang's alone: tests/fuzz/fuzz_NAME.c, seeds in
# tests/fuzz/corpus/NAME. What is found new stays in $(BUILD)/fuzz/corpus.
TIME ?= 10
FUZZ_CC ?= clang-14
FUZZ_DIR := $(BUILD)/fuzz
FUZZ_FLAGS := -O1 -g -DTK_DEBUG=1 -fno-omit-frame-pointer \
    -fsanitize=fuzzer-no-link,address
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_PROGRAMS := $(addprefix $(FUZZ_DIR)/fuzz_,$(FUZZ_NAMES))
FUZZ_OBJ := $(patsubst %.c,$(FUZZ_DIR)/obj/%.o, \
    $(call room_src,base exec wire) $(UPB_GEN_SRC) $(UPB_SRC))

.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS) | deps-clang ## every fuzz target for TIME=10 seconds
	$(Q)for name in $(FUZZ_NAMES); do mkdir -p $(FUZZ_DIR)/corpus/$$name && \
	    $(FUZZ_DIR)/fuzz_$$name -max_total_time=$(TIME) -max_len=4096 \
	    -print_final_stats=1 -artifact_prefix=$(FUZZ_DIR)/$$name- \
	    $(FUZZ_DIR)/corpus/$$name tests/fuzz/corpus/$$name \
	    >$(FUZZ_DIR)/$$name.log 2>&1 || { tail -40 $(FUZZ_DIR)/$$name.log; \
	    exit 1; }; grep number_of_executed_units $(FUZZ_DIR)/$$name.log | \
	    sed "s/.*:/$$name:/"; done
$(FUZZ_DIR)/obj/upb/%.o: | $(DEPS_STAMP)
	$(say) CC upb/$*.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -std=gnu99 $(FUZZ_FLAGS) -w -I$(UPB) -c $(UPB)/$*.c -o $@
$(FUZZ_DIR)/obj/%.o: %.c $(UPB_GEN_HEADERS) | $(DEPS_STAMP)
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(BASE_FLAGS) $(FUZZ_FLAGS) $(if $(filter upb_gen/%,$<),-w, \
	    $(WARN) -Wno-null-dereference) $(INNER) -MMD -MP -c $< -o $@
$(FUZZ_DIR)/libfuzzed.a: $(FUZZ_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(FUZZ_PROGRAMS): $(FUZZ_DIR)/%: $(FUZZ_DIR)/obj/tests/fuzz/%.o \
    $(FUZZ_DIR)/libfuzzed.a
	$(say) LD $@
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address -pthread $^ $(LIBS) -o $@
-include $(FUZZ_OBJ:.o=.d)

# The same targets without libFuzzer, once over the seeds and what was found.
REPLAY_DIR := $(BUILD)/asan/fuzz
.PHONY: fuzz-replay
fuzz-replay: $(addprefix $(REPLAY_DIR)/,$(FUZZ_NAMES)) ## run the fuzz targets over their corpus, with gcc
	$(Q)for name in $(FUZZ_NAMES); do find tests/fuzz/corpus/$$name \
	    $(FUZZ_DIR)/corpus/$$name -type f 2>/dev/null | \
	    xargs $(REPLAY_DIR)/$$name || exit 1; done
$(REPLAY_DIR)/%: $(BUILD)/asan/obj/tests/fuzz/fuzz_%.o \
    $(BUILD)/asan/obj/tests/fuzz/standalone.o $(BUILD)/asan/libtk-internal.a
	$(call link,asan,$^,$(ALL_LIBS))

CONFORMANCE := $(BUILD)/check/tests/cluster/conformance_test
.PHONY: conformance
conformance: $(CONFORMANCE) ## the embedded cluster against its conformance cases
	$(Q)BUILD='$(BUILD)' scripts/conformance.sh $(CONFORMANCE)

.PHONY: demo
demo: all examples $(BUILD)/release/demo ## a cluster, real data, faults and a table of what happened
	$(Q)BUILD='$(BUILD)' scripts/demo.sh

# A row of a report is 2 s; DURATION, ROUNDS and CELLS are scripts/perf.sh's.
.PHONY: perf perf-programs perf-micro perf-tso perf-gate perf-cluster perf-txn \
    perf-idle perf-loss
PERF_TSO_ARGS ?=
perf-programs: $(PERF_release) $(PROGRAMS_release) ## benchmark programs, in $(BUILD)/release/perf
perf: perf-programs ## floor and product measured, $(BUILD)/perf/report.md; DURATION=S ROUNDS=N
	$(Q)BUILD='$(BUILD)' scripts/perf.sh
perf-micro: perf-programs ## micro benchmarks and timestamps, by the clock
	$(Q)BUILD='$(BUILD)' scripts/perf_micro.sh
perf-txn: $(BUILD)/release/perf/perf-txn $(BUILD)/release/tikv-playground ## what transactions cost: transfers/s, CPU, memory of a huge commit
	$(Q)$(BUILD)/release/perf/perf-txn
perf-tso: perf-programs ## timestamps by callers and ways to call; PERF_TSO_ARGS=--json
	$(Q)BUILD='$(BUILD)' scripts/perf_tso.sh $(PERF_TSO_ARGS)
perf-cluster: $(BUILD)/release/perf/perf-cluster ## what the embedded cluster does by itself, beside its goals
	$(Q)$(BUILD)/release/perf/perf-cluster
perf-idle: $(BUILD)/release/perf/perf-idle $(PROGRAMS_release) ## wake-ups of a client that nobody uses, 30 s
	$(Q)$(BUILD)/release/perf/perf-idle
perf-loss: $(BUILD)/release/perf/perf-loss ## 10,000 regions, one store of three killed: when all serve again
	$(Q)$(BUILD)/release/perf/perf-loss
perf-gate: perf-programs | deps-valgrind ## counted instructions against perf/gate.tsv
	$(Q)BUILD='$(BUILD)' scripts/perf_gate.sh

# Examples see what a user sees: an installed copy and pkg-config.
STAGE := $(abspath $(BUILD))/stage
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(EXAMPLE_SRC))
STAGE_PC = PKG_CONFIG_PATH='$(STAGE)$(LIBDIR)/pkgconfig' \
    PKG_CONFIG_SYSROOT_DIR='$(STAGE)' pkg-config

.PHONY: examples
examples: $(EXAMPLES) ## every program of examples/, against an installed copy
$(BUILD)/stage/.stamp: $(LIBRARIES_release) $(PROGRAMS_release) \
    $(HEADERS) $(PC_FILES)
	@rm -rf $(STAGE)
	$(call do_install,$(STAGE))
	@touch $@
$(BUILD)/examples/%: examples/%.c $(wildcard examples/*.h) \
    $(BUILD)/stage/.stamp
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -pthread \
	    $(filter -Werror,$(WARN)) $(CFLAGS) $< -o $@ $(LDFLAGS) \
	    $$($(STAGE_PC) --cflags --libs $$(grep -q 'tikv/cluster.h' $< && \
	    echo tikvcluster || echo tikv)) \
	    -Wl,-rpath,'$(STAGE)$(LIBDIR)'

.PHONY: tidy analyze format format-check
ANALYZED := $(sort $(INTERNAL_SRC) $(CLI_SRC) $(PLAYGROUND_SRC) \
    $(BENCH_SRC) $(FLOOR_SRC) $(PERF_SHARED))
FORMATTED := $(sort $(HEADERS) $(wildcard src/*/*.[ch] src/*/*/*.[ch] \
    perf/*.[ch] perf/*/*.[ch] examples/*.c tests/harness/*.[ch] \
    tests/sim/*.[ch] tests/hour/*.[ch] tests/leaders/*.[ch]) $(foreach d,unit client cluster torture abi, \
    $(call deep,$d)))
CLANG_TIDY ?= clang-tidy
CLANG_FORMAT ?= clang-format
tidy: | deps-clang ## clang-tidy over src and perf
	$(Q)printf '%s\n' $(ANALYZED) | xargs -P $(JOBS) -n 4 sh -c \
	    '$(CLANG_TIDY) --quiet "$$@" -- $(BASE_FLAGS) $(INNER) -Iperf' tidy
analyze: | deps-clang ## gcc's -fanalyzer and clang's analyzer over src
	$(Q)printf '%s\n' $(ANALYZED) | xargs -P $(JOBS) -n 1 sh -c \
	    'gcc -fanalyzer -O1 -w -Wanalyzer-null-dereference $(BASE_FLAGS) \
	    $(INNER) -Iperf -c "$$1" -o /dev/null && clang --analyze \
	    --analyzer-output text $(BASE_FLAGS) $(INNER) -Iperf "$$1"' analyze
format: | deps-clang ## rewrite the C by .clang-format
	$(Q)$(CLANG_FORMAT) -i $(FORMATTED)
format-check: | deps-clang ## fail where `make format` would change something
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

# The C of the messages is committed: only these two need the generator.
.PHONY: proto proto-check
proto: | deps-proto ## regenerate upb_gen from upb_gen/proto
	$(Q)rm -f upb_gen/*.upb.h upb_gen/*.upb.c
	$(Q)scripts/gen_upb.sh $(UPB) $(DEPS)/gen upb_gen
proto-check: | deps-proto ## fail where `make proto` would change something
	$(Q)rm -rf $(BUILD)/proto-check
	$(Q)scripts/gen_upb.sh $(UPB) $(DEPS)/gen $(BUILD)/proto-check
	$(Q)diff -r -q -x proto -x README.md upb_gen $(BUILD)/proto-check
	$(Q)rm -rf $(BUILD)/proto-check

.PHONY: deps-proto deps-clang deps-valgrind deps-cover
deps-proto deps-clang deps-valgrind deps-cover: deps-%:
	$(Q)scripts/deps.sh $(DEPS) build $*

# --- Installing --------------------------------------------------------------

MAN_PAGES := $(wildcard docs/man/*.[1-9])

# $(call do_install,root)
define do_install
$(Q)install -d '$1$(INCLUDEDIR)/tikv' '$1$(LIBDIR)/pkgconfig' '$1$(BINDIR)'
$(Q)install -m 644 $(HEADERS) '$1$(INCLUDEDIR)/tikv/'
$(Q)for name in tikv tikvcluster; do \
    lib="$(BUILD)/release/lib$$name"; \
    install -m 644 "$$lib.a" '$1$(LIBDIR)/' && \
    install -m 755 "$$lib.so.$(VERSION)" '$1$(LIBDIR)/' && \
    ln -sf "lib$$name.so.$(VERSION)" "$1$(LIBDIR)/lib$$name.so.$(ABI)" && \
    ln -sf "lib$$name.so.$(ABI)" "$1$(LIBDIR)/lib$$name.so" && \
    install -m 644 "$(BUILD)/pc/$$name.pc" '$1$(LIBDIR)/pkgconfig/' || \
    exit 1; done
$(Q)for p in $(PROGRAMS); do \
    install -m 755 "$(BUILD)/release/$$p" '$1$(BINDIR)/' || exit 1; done
$(Q)for page in $(MAN_PAGES); do section=$${page##*.}; \
    install -d "$1$(MANDIR)/man$$section" && \
    install -m 644 "$$page" "$1$(MANDIR)/man$$section/" || exit 1; done
endef

.PHONY: install
install: all ## headers, libraries, programs, manual pages; PREFIX and DESTDIR hold
	$(call do_install,$(DESTDIR))

.PHONY: uninstall
uninstall: ## remove what install put there
	$(Q)rm -f $(addprefix '$(DESTDIR)$(INCLUDEDIR)'/tikv/,$(notdir $(HEADERS)))
	$(Q)rm -f $(foreach n,tikv tikvcluster,$(addprefix \
	    '$(DESTDIR)$(LIBDIR)'/,lib$n.a lib$n.so lib$n.so.$(ABI) \
	    lib$n.so.$(VERSION) pkgconfig/$n.pc))
	$(Q)rm -f $(addprefix '$(DESTDIR)$(BINDIR)'/,$(PROGRAMS))
	$(Q)rm -f $(foreach p,$(MAN_PAGES), \
	    '$(DESTDIR)$(MANDIR)'/man$(patsubst .%,%,$(suffix $p))/$(notdir $p))
	$(Q)rmdir '$(DESTDIR)$(INCLUDEDIR)/tikv' 2>/dev/null || true

# --- The rest ----------------------------------------------------------------

.PHONY: help
help: ## this list
	$(Q)sed -n 's/^\([a-z][a-z -]*\):.* ## \(.*\)/\1|\2/p' \
	    $(firstword $(MAKEFILE_LIST)) | sort | while IFS='|' read -r t d; \
	    do printf '%-14s %s\n' "$$t" "$$d"; done

.PHONY: clean
clean: ## remove what was built, except $(DEPS)
	$(Q)rm -rf $(addprefix $(BUILD)/,$(VARIANTS) fuzz perf stage pc \
	    examples proto-check)

$(BUILD)/pc/%.pc: src/api/%.pc.in include/tikv/version.h FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)%=$${prefix}%)|' \
	    -e 's|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)%=$${prefix}%)|' $< >$@.new
	$(Q)cmp -s $@.new $@ && rm -f $@.new || mv $@.new $@

.PHONY: FORCE
FORCE:
