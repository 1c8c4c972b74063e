/* unit_topo.c - machines from strings. */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "cluster/topo.h"

#include <math.h>

static void expect_print(const struct topo *t, const char *want)
{
    struct strbuf out = { 0 };

    topo_print(&out, t);
    assert_string_equal(out.s, want);
    strbuf_free(&out);
}

static void sound(void **state)
{
    struct {
        const char *text, *print;
        int ranks;
    } const cases[] = {
        { "gpu:8", "1 machine with 8 GPUs, PCIe 50 GB/s", 8 },
        { "node:2 gpu:8 nvlink ib:400 mem:80GiB",
          "2 machines with 8 GPUs, 80.0 GiB each GPU, NVLink 370 GB/s, network 49.0 GB/s", 16 },
        { "  nvlink  gpu:1 node:3 ", "3 machines with 1 GPU, NVLink 370 GB/s, network 3.1 GB/s",
          3 },
        { "node:1 cpu:2", "1 machine with 2 cores, memory 8 GB/s", 2 },
        { "cpu:7 threads:2 mem:512MiB", "1 machine with 7 cores, 0.5 GiB each, memory 8 GB/s", 3 },
        { "cpu:1 mem:2TiB", "1 machine with 1 core, 2048.0 GiB each, memory 8 GB/s", 1 },
        { "gpu:2 pcie", "1 machine with 2 GPUs, PCIe 50 GB/s", 2 },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct topo t;
        ok(topo_from_string(&t, cases[i].text));
        expect_print(&t, cases[i].print);
        assert_int_equal(topo_ranks(&t), cases[i].ranks);
    }
}

static void hostile(void **state)
{
    struct {
        const char *text, *message;
    } const cases[] = {
        { "", "topology ``: gpu:N or cpu:N is missing" },
        { "node:2", "topology `node:2`: gpu:N or cpu:N is missing" },
        { "node:2 gpus:8",
          "topology, column 8: `gpus:8`; node:N, gpu:N, cpu:N, threads:N, mem:SIZE, nvlink, pcie "
          "and ib:N are allowed" },
        { "gpu:8\tnvlink",
          "topology, column 1: `gpu:8\tnvlink`; gpu: with a whole number from 1 to "
          "64 is allowed" },
        { "gpu:", "topology, column 1: `gpu:`; gpu: with a whole number from 1 to 64 is allowed" },
        { "gpu:0",
          "topology, column 1: `gpu:0`; gpu: with a whole number from 1 to 64 is allowed" },
        { "gpu:65", "topology, column 1: `gpu:65`; gpu: with a whole number from 1 to 64 is "
                    "allowed" },
        { "gpu:-1", "topology, column 1: `gpu:-1`; gpu: with a whole number from 1 to 64 is "
                    "allowed" },
        { "gpu:99999999999999999999", "topology, column 1: `gpu:99999999999999999999`; gpu: with a "
                                      "whole number from 1 to 64 is allowed" },
        { "gpu:8 node:257", "topology, column 7: `node:257`; node: with a whole number from 1 to "
                            "256 is allowed" },
        { "gpu:8 gpu:8", "topology, column 7: `gpu:8`; gpu: is given twice" },
        { "gpu:8 cpu:8", "topology, column 7: `cpu:8`; one of gpu:N and cpu:N is allowed" },
        { "gpu:8 nvlink pcie", "topology, column 14: `pcie`; one of nvlink and pcie is allowed" },
        { "gpu:8 nvlink4",
          "topology, column 7: `nvlink4`; node:N, gpu:N, cpu:N, threads:N, mem:SIZE, nvlink, pcie "
          "and ib:N are allowed" },
        { "cpu:2 nvlink", "topology `cpu:2 nvlink`: nvlink and pcie are allowed with gpu:N only" },
        { "gpu:2 threads:2", "topology `gpu:2 threads:2`: threads:N is allowed with cpu:N only" },
        { "cpu:2 threads:3", "topology `cpu:2 threads:3`: threads:3; 1 to 2, the cores of a "
                             "machine, are allowed" },
        { "gpu:2 ib:400", "topology `gpu:2 ib:400`: ib:N is allowed with more than one node only" },
        { "gpu:2 mem:80", "topology, column 7: `mem:80`; mem: with a whole number from 1 to "
                          "1048576 and MiB, GiB or TiB is allowed" },
        { "gpu:2 mem:GiB", "topology, column 7: `mem:GiB`; mem: with a whole number from 1 to "
                           "1048576 and MiB, GiB or TiB is allowed" },
        { "gpu:2 mem:1.5GiB", "topology, column 7: `mem:1.5GiB`; mem: with a whole number from 1 "
                              "to 1048576 and MiB, GiB or TiB is allowed" },
        { "gpu:2 mem:8GB", "topology, column 7: `mem:8GB`; mem: with a whole number from 1 to "
                           "1048576 and MiB, GiB or TiB is allowed" },
        { "gpu:2 mem:1048577TiB", "topology, column 7: `mem:1048577TiB`; mem: with a whole number "
                                  "from 1 to 1048576 and MiB, GiB or TiB is allowed" },
    };
    char longest[8192];

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct topo t;
        assert_int_equal(topo_from_string(&t, cases[i].text), ST_ARG);
        assert_string_equal(error_last()->msg, cases[i].message);
    }
    struct topo t;
    memset(longest, ' ', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(topo_from_string(&t, longest), ST_ARG);
    assert_string_equal(error_last()->msg, "topology of 8191 characters; at most 4096 are allowed");
}

/* Every byte string of up to three characters of the grammar's own is refused or
 * gives a topology within its bounds. */
static void every_short_tail(void **state)
{
    static const char letters[] = "0189: nmgpuTiB-\x01\xff";
    int const count = (int)sizeof letters - 1;

    (void)state;
    for (int a = 0; a < count; a++)
        for (int b = 0; b < count; b++)
            for (int c = 0; c < count; c++) {
                char const tails[][24] = {
                    { 'g', 'p', 'u', ':', letters[a], letters[b], letters[c], 0 },
                    { 'c', 'p', 'u', ':', '3', ' ', letters[a], letters[b], letters[c], 0 },
                    { 'c', 'p', 'u', ':', '3', ' ', 'm', 'e', 'm', ':', letters[a], letters[b],
                      letters[c], 'i', 'B', 0 },
                };
                for (int i = 0; i < COUNT_OF(tails); i++) {
                    struct topo t;
                    if (topo_from_string(&t, tails[i]) != ST_OK) continue;
                    assert_true(t.devices >= 1 && t.devices <= 64 && t.nodes >= 1);
                    assert_true(t.memory <= (uint64_t)1 << 60 && isfinite(t.within));
                }
            }
}

static void nodes(void **state)
{
    struct {
        const char *text;
        int ranks, node[8];
    } const cases[] = {
        { "node:2 gpu:4", 5, { 0, 0, 0, 0, 1 } },
        { "node:2 cpu:2", 3, { 0, 0, 1 } },
        { "node:2 cpu:4 threads:3", 2, { 0, 1 } },
        { "node:2 cpu:2", 7, { 0, 0, 0, 0, 1, 1, 1 } },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct topo t;
        int node[8];
        ok(topo_from_string(&t, cases[i].text));
        ok(topo_nodes(&t, cases[i].ranks, node));
        assert_memory_equal(node, cases[i].node, (size_t)cases[i].ranks * sizeof *node);
    }
    struct topo t;
    int node[9];
    ok(topo_from_string(&t, "gpu:8"));
    assert_int_equal(topo_nodes(&t, 9, node), ST_ARG);
    assert_string_equal(error_last()->msg, "9 ranks for 8 GPUs; 1 to 8 are allowed");
}

static void this_machine(void **state)
{
    struct topo t;

    (void)state;
    topo_of_machine(&t);
    assert_int_equal(t.kind, TOPO_CPU);
    assert_true(t.nodes == 1 && t.devices >= 1 && t.memory > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound), cmocka_unit_test(hostile),      cmocka_unit_test(every_short_tail),
        cmocka_unit_test(nodes), cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests_name("unit_topo", tests, NULL, NULL);
}
