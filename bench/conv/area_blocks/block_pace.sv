// When things happen (pace_step of the kernels): iterations to the next one by what ends with it.
module block_pace (
  input  logic clk_i,
  input  logic begins_i,
  input  logic steps_i,
  input  logic [31:0] first_i,
  input  logic [127:0] every_i,
  input  logic [31:0] tiles_i,
  input  logic [31:0] inner_i,
  input  logic [31:0] rows_i,
  output logic happens_o,
  output logic [1:0] ends_o
);
  logic [31:0] left, tile, inner, row;
  assign happens_o = left == '0;
  assign ends_o = tile != tiles_i - 1 ? 2'd0 : inner != inner_i - 1 ? 2'd1
                  : row != rows_i - 1 ? 2'd2 : 2'd3;
  always_ff @(posedge clk_i) begin
    if (begins_i) begin
      left <= first_i;
      tile <= '0;
      inner <= '0;
      row <= '0;
    end else if (steps_i) begin
      left <= happens_o ? every_i[32*ends_o +: 32] - 1 : left - 1;
      if (happens_o) begin
        tile <= ends_o == 2'd0 ? tile + 1 : '0;
        inner <= ends_o == 2'd0 ? inner : ends_o == 2'd1 ? inner + 1 : '0;
        row <= ends_o < 2'd2 ? row : ends_o == 2'd2 ? row + 1 : '0;
      end
    end
  end
endmodule
