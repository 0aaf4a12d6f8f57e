// A column of a standard convolution's window: Units channels, the front one leaves; loaded from one
// of Sources lines.
module block_front #(
  parameter int Units = 16,
  parameter int Sources = 1
) (
  input  logic clk_i,
  input  logic opens_i,
  input  logic holds_i,
  input  logic [(Sources > 1 ? $clog2(Sources) : 1)-1:0] source_i,
  input  logic [8*Units*Sources-1:0] ahead_i,
  output logic [7:0] front_o
);
  logic [8*Units-1:0] window_q, chosen;
  assign chosen = Sources > 1 ? ahead_i[8*Units*source_i +: 8*Units] : ahead_i[8*Units-1:0];
  assign front_o = window_q[7:0];
  always_ff @(posedge clk_i) begin
    if (opens_i) window_q <= chosen;
    else if (!holds_i) window_q <= {8'd0, window_q[8*Units-1:8]};
  end
endmodule
