#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# tikv-cli as a user meets it: what it prints, where, and how it ends. Each
# case runs the program against one of two playgrounds. timeout: 300
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Open3;
use Symbol qw(gensym);

my $root = dirname(__FILE__) . '/../..';
my $build = $ENV{TK_BUILD} // "$root/build";
my $cli = "$build/release/tikv-cli";
my $playground = "$build/release/tikv-playground";
my $folder = tempdir(CLEANUP => 1);
my $count = 0;

$SIG{PIPE} = 'IGNORE';

if (!-x $cli || !-x $playground) {
    print "1..0 # SKIP tikv-cli or tikv-playground is not built\n";
    exit 0;
}

sub ok
{
    my ($is_right, $name, @facts) = @_;

    $count++;
    print $is_right ? '' : 'not ', "ok $count - $name\n";
    print STDERR "#   $_\n" for $is_right ? () : @facts;
}

# Status, standard output, standard error.
sub run
{
    my ($input, @words) = @_;
    my ($in, $out, $err) = (undef, undef, gensym);
    my $pid = open3($in, $out, $err, $cli, @words);

    print $in $input;
    close $in;
    local $/ = undef;
    my $said = <$out> // '';
    my $complained = <$err> // '';
    waitpid $pid, 0;
    return ($? >> 8, $said, $complained);
}

# One case: expected status, output (a string or a pattern), and a pattern of
# what stands on standard error.
sub gives
{
    my ($name, $words, $status, $out, $err, $input) = @_;
    my @got = run($input // '', @$words);
    my $out_fits = ref $out ? $got[1] =~ $out : $got[1] eq $out;
    my $err_fits = defined $err ? $got[2] =~ $err : $got[2] eq '';
    my $one_line = ($got[2] =~ tr/\n//) <= 1;

    ok($got[0] == $status && $out_fits && $err_fits && $one_line,
        $name, "status $got[0], wanted $status", "out: $got[1]",
        "err: $got[2]");
}

sub start
{
    my $pid = open my $ready, '-|', $playground, '--port', '0', @_
        or die "$playground: $!\n";
    my $line = <$ready> // '';

    $line =~ /^ready pd=(\S+)$/ or die "no ready line: $line\n";
    return ($pid, $1, $ready);
}

sub stop
{
    my ($pid, $ready) = @_;

    kill 'TERM', $pid;
    close $ready;
    return $?;
}

my ($pid, $pd, $ready) = start('--stores', '3', '--regions', '4');
my @at = ('--pd', $pd);

# Single keys.
gives('put says nothing', [@at, qw(raw put a 1)], 0, '');
gives('get prints the value', [@at, qw(raw get a)], 0, "1\n");
gives('a missing key is status 1', [@at, qw(raw get nope)], 1, '',
    qr/not found/);
gives('an empty value is a value', [@at, 'raw', 'put', 'e', ''], 0, '');
gives('and is printed as such', [@at, qw(raw get e)], 0, "\n");
gives('json', [@at, qw(--json raw get a)], 0,
    qq({"key":"a","value":"1"}\n));
gives('hex in and out', [@at, qw(--hex raw put 00ff fffe0980)], 0, '');
gives('hex out', [@at, qw(--hex raw get 00ff)], 0, "fffe0980\n");
gives('bytes as escapes', [@at, qw(raw scan), '', 'A'], 0,
    "\\x00\\xff\t\\xff\\xfe\\t\\x80\n");
gives('bytes that are no text in json',
    [@at, qw(--json --hex raw get 00ff)], 0,
    qq({"key_hex":"00ff","value_hex":"fffe0980"}\n));
gives('delete', [@at, qw(raw delete a e)], 0, '');
gives('really deleted', [@at, qw(raw get a)], 1, '', qr/not found/);

# Batches and scans.
gives('batch put', [@at, qw(raw batch-put k1 v1 k2 v2 k3 v3)], 0, '');
gives('batch get in the order asked', [@at, qw(raw batch-get k3 k1)], 0,
    "k3\tv3\nk1\tv1\n");
gives('a missing one is status 1', [@at, qw(raw batch-get k1 nope)], 1,
    "k1\tv1\nnope\n");
gives('scan', [@at, qw(raw scan k l)], 0, "k1\tv1\nk2\tv2\nk3\tv3\n");
gives('scan with a limit', [@at, qw(raw scan k l --limit 2)], 0,
    "k1\tv1\nk2\tv2\n");
gives('scan downwards, keys only',
    [@at, qw(raw scan k l --reverse --keys-only)], 0, "k3\nk2\nk1\n");
gives('checksum counts', [@at, qw(--json raw checksum k l)], 0,
    qr/"pairs":3,"bytes":12\}$/);

# Compare-and-swap.
gives('cas of an absent key', [@at, qw(raw cas c --absent 1)], 0,
    "swapped\n");
gives('cas with the wrong value', [@at, qw(raw cas c 7 2)], 1,
    "not swapped, was 1\n");
gives('cas with the right value', [@at, qw(raw cas c 1 2)], 0,
    "swapped, was 1\n");
gives('cas that deletes', [@at, qw(raw cas c 2 --delete)], 0,
    "swapped, was 2\n");

# Transactions that write.
gives('txn put', [@at, qw(txn put t/1 one t/2 two)], 0,
    qr/^committed at \d+\n$/);
gives('txn put of what must be absent', [@at, qw(txn put t/1 x --insert)], 3,
    '', qr/^tikv-cli: KEY_EXISTS/);
gives('txn delete', [@at, qw(--json txn delete t/2)], 0,
    qr/^\{"commit_ts":\d+\}\n$/);
gives('a script', [@at, qw(txn run -)], 0,
    qr/^t\/1\tone\nt\/2\nt\/1\tuno\nt\/3\tt h\ncommitted at \d+\n$/, undef,
    "# one transaction\nget t/1\nget t/2\nput t/1 uno\n"
        . "put t/3 't h'\nscan t/ t0\n");
gives('a script that is taken back', [@at, qw(txn run -)], 0, '', undef,
    "put t/1 nope\nrollback\nput t/1 never\n");
gives('what it left', [@at, qw(txn run -)], 0, qr/^t\/1\tuno\n/, undef,
    "get t/1\n");
gives('a script with a mistake changes nothing', [@at, qw(txn run -)], 2, '',
    qr/no statement "jump"/, "put t/1 nope\njump\n");
gives('what it left', [@at, qw(txn run -)], 0, qr/^t\/1\tuno\n/, undef,
    "get t/1\n");
my $versions = qr/^t\/1\n\d+\t(\d+)\tput\tuno\n(?:.*\n)*\d+\t\d+\tput\tone\n$/;
gives('the versions of a key', [@at, qw(txn mvcc t/1)], 0, $versions);
gives('the versions of a key as json', [@at, qw(--json txn mvcc t/2)], 0,
    qr/^\{"key":"t\/2","versions":\[\{"commit_ts":\d+,"start_ts":\d+,/);
gives('the versions of no key', [@at, qw(txn mvcc t/none)], 0, "t/none\n");
gives('the versions of no transaction', [@at, qw(txn mvcc --start-ts 77)], 1,
    '');
gives('versions of what', [@at, qw(txn mvcc)], 2, '', qr/wants: txn mvcc/);
gives('the outcome of a transaction nobody knows',
    [@at, qw(txn outcome 1000 t/none)], 0, "rolled back\n");

# Where the time went.
gives('time of a put', [@at, qw(--time raw put time 1)], 0, '',
    qr/^time: [\d.]+ ms = queue [\d.]+ \+ pd .* own [\d.]+; 1 calls, 1 req/);
gives('time of a transaction as json', [@at, qw(--time --json txn put t/9 x)],
    0, qr/^\{"commit_ts":\d+\}\n$/,
    qr/^\{"total_ns":\d+,.*"pd_ns":[1-9].*"server_ns":[1-9].*"calls":2,/);
gives('no time of what calls nobody', [@at, qw(--time help)], 0, qr/usage/);

# The cluster itself.
gives('tso', [@at, qw(tso 2)], 0, qr/^\d+\t\d+ ms\t\d+\n\d+\t\d+ ms\t\d+\n$/);
gives('regions', [@at, qw(--json regions)], 0,
    qr/^(\{"id":\d+,.*"leader_store":[1-3].*\}\n){4}$/);
gives('stores', [@at, qw(stores)], 0, qr/^(\d\t127\.0\.0\.1:\d+\tUp.*\n){3}$/);

# Files.
sub file
{
    my ($name, $text) = @_;

    open my $out, '>', "$folder/$name" or die "$folder/$name: $!\n";
    print $out $text;
    close $out;
    return "$folder/$name";
}

sub content
{
    my ($name) = @_;

    open my $in, '<', "$folder/$name" or return '(none)';
    local $/ = undef;
    return scalar <$in>;
}

my $tsv = "f/1\tone\nf/2\ttab\\tand\\nline\nf/3\t\\xff\\\\\n";
gives('import of TSV', [@at, 'import', file('in.tsv', $tsv)], 0, '',
    qr/^3 pairs imported/);
gives('export of TSV', [@at, 'export', "$folder/out.tsv", 'f/', 'f0'], 0, '',
    qr/^3 pairs exported/);
ok(content('out.tsv') eq $tsv, 'what comes out is what went in',
    content('out.tsv'));
my $json = qq({"key":"j/1","value":"ä\\"\\\\"}\n)
    . qq({"key_hex":"6a2f32ff","value":"x"}\n);
gives('import of JSON lines', [@at, 'import', file('in.jsonl', $json)], 0,
    '', qr/^2 pairs imported/);
gives('export of JSON lines', [@at, 'export', "$folder/out.jsonl", 'j/',
        'j0'], 0, '', qr/^2 pairs exported/);
ok(content('out.jsonl') eq $json, 'JSON lines come out as they went in',
    content('out.jsonl'));
gives('import from a pipe', [@at, qw(import - --format tsv)], 0, '',
    qr/^1 pairs imported/, "p/1\tx\n");
gives('a bad line is named, what stands before it is stored',
    [@at, 'import', file('bad.tsv', "b/1\tx\nno tab here\nb/2\ty\n")], 2, '',
    qr/bad\.tsv:2: no tab.*the 1 pairs before it are stored/);
gives('the line before it', [@at, qw(raw get b/1)], 0, "x\n");
gives('not the line after it', [@at, qw(raw get b/2)], 1, '', qr/not found/);
gives('bad JSON', [@at, 'import', file('bad.jsonl', "{\"key\":1}\n")], 2, '',
    qr/bad\.jsonl:1: no text "key"/);
gives('a bad escape', [@at, 'import', file('esc.tsv', "a\\q\tb\n")], 2, '',
    qr/esc\.tsv:1: the key has a broken escape/);
gives('a file that is not there', [@at, qw(import /nonexistent/file)], 2, '',
    qr{/nonexistent/file: No such file});

# The prompt, without a terminal.
gives('lines from standard input', [@at], 0, "v1\n", undef,
    "raw put 'a b' \"c\\\"d\"\nraw get k1\n");
gives('quoted words', [@at, 'raw', 'get', 'a b'], 0, "c\"d\n");
gives('an open quote', [@at], 2, '', qr/a quote is not closed/,
    "raw get 'a\n");

# Ranges.
gives('delete range', [@at, qw(raw delete-range k l)], 0, '');
gives('nothing is left of it', [@at, qw(raw scan k l)], 0, '');

# Usage.
gives('help', ['--help'], 0, qr/^usage: tikv-cli.*raw get KEY/s);
gives('version', ['--version'], 0, qr/^tikv-cli \d+\.\d+\.\d+\n$/);
gives('settings', ['--settings'], 0, qr/^pd\.endpoints /);
gives('no cluster named', [qw(raw get a)], 2, '', qr/--pd/);
gives('unknown command', [@at, qw(raw fly)], 2, '', qr/raw fly/);
gives('unknown option', [@at, qw(raw get a --fast)], 2, '', qr/--fast/);
gives('missing operand', [@at, qw(raw get)], 2, '', qr/raw get KEY/);
gives('a limit that is no number', [@at, qw(raw scan --limit many)], 2, '',
    qr/--limit.*"many"/);
gives('digits that are none', [@at, qw(--hex raw get xyz)], 2, '',
    qr/"xyz" is not a row of hexadecimal digits/);
gives('a setting that is none', [qw(--set no.such=1), @at, 'tso'], 2, '',
    qr/no\.such/);
gives('a setting out of bounds',
    [qw(--set pool.threads_count=0), @at, 'tso'], 2, '',
    qr/pool\.threads_count.*0/);
gives('an unknown column family', [@at, qw(--cf x raw get a)], 2, '',
    qr/column_family.*not one of default/);
gives('a TTL where there are none', [@at, qw(raw put a b --ttl 5)], 2, '',
    qr/ttl/i);
gives('nobody at that address',
    [qw(--set pd.open_timeout_ms=300 --pd 127.0.0.1:1 tso)], 3, '',
    qr/127\.0\.0\.1:1/);

# Control of the playground.
my @cluster = (@at, 'cluster');
gives('no fault to begin with', [@cluster, qw(faults list)], 0, '');
gives('a fault is added', [@cluster, qw(faults add on=tikv.RawGet key=slow/),
    qw(when=nth(1) do=region_error(server_is_busy))], 0, "1\n");
gives('a get meets it', [@at, qw(raw get slow/x)], 1, '', qr/not found/);
gives('it was hit', [@cluster, qw(faults hits 1)], 0, "1\n");
gives('the list says so, too', [@at, qw(--json cluster faults list)], 0,
    qr/^\{"id":1,"hits":1,"rule":"on=tikv.RawGet key=slow\/.*"\}\n$/);
gives('what was seen', [@cluster, qw(seen tikv.RawGet)], 0,
    qr/tikv.RawGet\tregion_error:server_is_busy\t1\n/);
gives('a broken rule says where',
    [@cluster, qw(faults add on=tikv.RawGet do=explode)], 2, '',
    qr/fault rule, at 19: unknown action/);
gives('faults go', [@cluster, qw(faults remove)], 0, '');
gives('all of them', [@cluster, qw(faults list)], 0, '');
gives('a preset of faults', [@cluster, qw(nemesis leaders_dance 10 7)], 0,
    '');
gives('has rules', [@cluster, qw(faults list)], 0, qr/id=nemesis/);
gives('calm has none', [@cluster, qw(nemesis calm)], 0, '');
gives('a split', [@cluster, qw(split kk)], 0, '');
gives('makes one region more', [@cluster, 'regions'], 0, "5\n");
gives('as json', [@at, qw(--json cluster regions)], 0, qq({"result":5}\n));
gives('a key in hex', [@at, qw(--hex cluster split 6b6b6b)], 0, '');
gives('a merge', [@cluster, qw(merge kk)], 0, '');
gives('a store stops', [@cluster, qw(store stop 2)], 0, '');
gives('and starts', [@cluster, qw(store start 2)], 0, '');
gives('one that is none', [@cluster, qw(store stop 9)], 2, '',
    qr/no store 9/);
gives('who leads PD', [@cluster, qw(pd leader)], 0, "0\n");
gives('an unknown command', [@cluster, 'nope'], 2, '', qr/cluster help/);
gives('the list of commands', [qw(cluster help)], 0,
    qr/^cluster faults add RULE\n/);
gives('nobody to control', [qw(--pd 127.0.0.1:1 cluster regions)], 3, '',
    qr/cluster: /);

ok(stop($pid, $ready) == 0, 'the playground ends on SIGTERM');

# Times to live.
($pid, $pd, $ready) = start('--api', 'v1ttl');
@at = ('--pd', $pd);
gives('put with a TTL', [@at, qw(raw put a b --ttl 500)], 0, '');
gives('ttl', [@at, qw(raw ttl a)], 0, qr/^(49\d|500)\n$/);
gives('ttl of what lives for ever', [@at, qw(raw put c d)], 0, '');
gives('is 0', [@at, qw(raw ttl c)], 0, "0\n");
gives('import with a TTL column', [@at, qw(import - --format tsv)], 0, '',
    qr/^2 pairs/, "t/1\tx\t900\nt/2\ty\n");
gives('of one pair', [@at, qw(raw ttl t/1)], 0, qr/^(89\d|900)\n$/);
gives('and of the other', [@at, qw(raw ttl t/2)], 0, "0\n");
ok(stop($pid, $ready) == 0, 'this one too');

# A file of faults: comments, and errors with their line.
my $rules = "$folder/faults";
sub write_rules
{
    my ($text) = @_;

    open my $file, '>', $rules or die "$rules: $!\n";
    print $file $text;
    close $file or die "$rules: $!\n";
}
write_rules("# first\n\non=tikv.RawGet do=delay(1) # slow\n" .
    "on=tikv.RawPut do=explode\n");
my $said = `$playground --faults $rules 2>&1`;
ok($? >> 8 == 2 && $said =~ /faults:4: fault rule, at 19: unknown action/,
    'a broken line is named', $said);
write_rules("# first\n\non=tikv.RawGet do=delay(1) # slow\n");
# Transactions: nothing is there yet, and that is said rightly.
($pid, $pd, $ready) = start();
@at = ('--pd', $pd);
gives('txn get of nothing', [@at, qw(txn get a)], 1, '', qr/not found/);
gives('txn scan of nothing', [@at, qw(txn scan --reverse)], 0, '');
gives('txn scan in the past', [@at, qw(txn scan a b --at 1)], 0, '');
gives('txn get in the future',
    [@at, qw(txn get a --at 9000000000000000000)], 2, '', qr/future|yet/);
gives('no locks', [@at, qw(txn locks)], 0, '');
gives('nothing to resolve', [@at, qw(txn resolve --all)], 0,
    "0 locks resolved\n");
gives('nothing to resolve, json', [@at, qw(--json txn resolve a b)], 0,
    qq({"resolved":0}\n));
gives('resolving everything has to be said', [@at, qw(txn resolve)], 2, '',
    qr/--all/);
gives('a timestamp is a number', [@at, qw(txn get a --at soon)], 2, '',
    qr/--at/);
stop($pid, $ready);

($pid, $pd, $ready) = start('--faults', $rules);
gives('a file of faults', ['--pd', $pd, qw(cluster faults list)], 0,
    qr/^1\t0\ton=tikv.RawGet do=delay\(1\)\s*\n$/);
ok(stop($pid, $ready) == 0, 'and this one');

print "1..$count\n";
