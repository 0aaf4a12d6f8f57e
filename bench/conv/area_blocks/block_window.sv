// A byte of a line in the depthwise window: three rows of Places lines, gates at the map's top.
module block_window #(
  parameter int Places = 3
) (
  input  logic clk_i,
  input  logic moves_i,
  input  logic one_i,
  input  logic two_i,
  input  logic [7:0] line_i,
  input  logic [15:0] above_i,
  output logic [24*Places-1:0] window_o,
  output logic [15:0] next_o
);
  logic [23:0] came;
  assign came = {line_i, above_i[7:0] & {8{one_i}}, above_i[15:8] & {8{two_i}}};
  assign next_o = {came[15:8], line_i};
  always_ff @(posedge clk_i) begin
    if (moves_i) begin
      for (int r = 0; r < 3; r++) begin
        for (int j = 0; j < Places - 1; j++) begin
          window_o[8*(Places*r+j) +: 8] <= window_o[8*(Places*r+j+1) +: 8];
        end
        window_o[8*(Places*r+Places-1) +: 8] <= came[8*r +: 8];
      end
    end
  end
endmodule
