// The clock of a block that rests: clk_o has the edges of clk_i in cycles with en_i, and is low in
// others. en_i is taken while clk_i is low, so that no edge is cut short.
// A block rests where nothing that its registers would take counts; its results are the same with
// a clock that runs on, which is what an FPGA gets: its clock nets have no gates.
module pu_clock_gate (
  input  logic clk_i,
  input  logic en_i,
  output logic clk_o
);
`ifdef SYNTHESIS
  logic unused;
  assign unused = en_i;
  assign clk_o = clk_i;
`else
  logic en;
  always_latch begin
    if (!clk_i) en = en_i;
  end
  assign clk_o = clk_i && en;
`endif  // SYNTHESIS
endmodule
